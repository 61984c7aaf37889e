//! Revocation works even if other client files are damaged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector::identity::{Agent, Identity, Standing};
use rustls::pki_types::UnixTime;
use testbed::{SLACK, in_time};

use crate::support::*;

fn write(path: &Path, text: &str) {
    wire::private_file::write(path, text.as_bytes()).unwrap();
}

fn revoked(identity: &Identity, agent: &Agent) -> bool {
    // Each time one second later.
    static ASKED: AtomicU64 = AtomicU64::new(1);
    let seconds = ASKED.fetch_add(1, Ordering::Relaxed);
    identity.is_revoked(agent, Instant::now() + Duration::from_secs(seconds))
}

/// An enrolled and connected agent.
async fn connected(collector: &mut Collector, id: &str) -> Agent {
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll(id, host.path()).await;
    let _connected = collector.connect(&credentials).await;
    collector.next_agent().await.0
}

#[tokio::test]
async fn a_record_that_can_not_be_read_is_named_and_hinders_nobody() {
    let (mut collector, dir) = own_ca();
    let [ill, well] =
        [connected(&mut collector, "web-1").await, connected(&mut collector, "web-2").await];
    let issued = dir.path().join("identity/issued/web-1");
    for damaged in ["{".to_owned(), format!("{{\"certificates\": []}}{}", " ".repeat(2 << 20))] {
        write(&issued, &damaged);
        let listed = records(dir.path()).list().unwrap();
        assert_eq!(listed.len(), 2);
        let named = &listed[0].damaged[0];
        assert!(named.contains("identity/issued/web-1") && named.contains("next"), "{named}");
        assert_eq!((listed[1].damaged.len(), listed[1].certificates.len()), (0, 1));
        assert!(!revoked(&collector.identity, &ill) && !revoked(&collector.identity, &well));
    }
    records(dir.path()).revoke(&client("web-1"), UnixTime::now()).unwrap();
    assert!(revoked(&collector.identity, &ill) && !revoked(&collector.identity, &well));
}

#[tokio::test]
async fn a_revocation_that_can_not_be_read_refuses_its_client_alone_until_that_enrols_again() {
    let (mut collector, dir) = own_ca();
    let [ill, well] =
        [connected(&mut collector, "web-1").await, connected(&mut collector, "web-2").await];
    write(&dir.path().join("identity/revoked/web-1"), "{\"revoked_");
    assert!(revoked(&collector.identity, &ill) && !revoked(&collector.identity, &well));
    let named = records(dir.path()).list().unwrap().remove(0).damaged.remove(0);
    assert!(named.contains("identity/revoked/web-1"), "{named}");
    assert!(named.contains("collector token --client web-1 --replace"), "{named}");
    // The remedy works.
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.replace("web-1", host.path()).await;
    let _connected = collector.connect(&credentials).await;
    let (again, _) = collector.next_agent().await;
    assert!(!revoked(&collector.identity, &again) && revoked(&collector.identity, &ill));
}

#[tokio::test]
async fn to_revoke_takes_one_file_whatever_the_others_are() {
    let (mut collector, dir) = own_ca();
    let agent = connected(&mut collector, "web-1").await;
    let path = dir.path().join("identity");
    for name in ["ca.key", "ca.pem", "server.pem", "reset.key", "issued/web-1"] {
        write(&path.join(name), "no good");
    }
    let records = records(dir.path());
    records.revoke(&client("web-1"), UnixTime::now()).unwrap();
    assert!(revoked(&collector.identity, &agent));
    assert!(records.list().unwrap()[0].revoked_at.is_some());
}

#[tokio::test]
async fn of_a_client_revoked_by_an_older_release_what_it_got_since_is_good() {
    let (mut collector, dir) = own_ca();
    let [first, second] =
        [connected(&mut collector, "web-1").await, connected(&mut collector, "web-2").await];
    let second = Agent { client: first.client.clone(), ..second };
    let at = UnixTime::now().as_secs();
    write(&dir.path().join("identity/revoked/web-1"), &format!("{{\"revoked_at\":{at}}}"));
    assert!(!revoked(&collector.identity, &first) && revoked(&collector.identity, &second));
    records(dir.path()).revoke(&client("web-1"), UnixTime::now()).unwrap();
    assert!(revoked(&collector.identity, &first));
}

#[tokio::test]
async fn whoever_is_connected_is_told_within_a_second_that_another_process_revoked_it() {
    let (mut collector, dir) = own_ca();
    let mut standings = Vec::new();
    for id in ["web-0", "web-1", "web-2", "web-3"] {
        let agent = connected(&mut collector, id).await;
        standings.push(Standing::new(collector.identity.clone(), agent));
    }
    let follow = tokio::spawn(Arc::clone(&collector.identity).follow_revocations());
    // Without a revocation nobody is notified.
    let (other, revoked) = standings.split_first_mut().unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(500), other.lost()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let mut quickest = Duration::MAX;
    for (standing, id) in revoked.iter_mut().zip(["web-1", "web-2", "web-3"]) {
        let start = Instant::now();
        records(dir.path()).revoke(&client(id), UnixTime::now()).unwrap();
        let told = in_time("the revocation", standing.lost()).await;
        quickest = quickest.min(start.elapsed());
        assert!(told.to_string().contains(&format!("{id} was revoked")), "{told}");
    }
    // In the best of three: the machine may be busy.
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");
    let nothing = tokio::time::timeout(Duration::from_millis(300), other.lost()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    follow.abort();
}

#[tokio::test]
async fn a_certificate_that_ends_ends_the_connection_unless_it_was_renewed_over_it() {
    let (mut collector, _dir) = own_ca();
    let agent = connected(&mut collector, "web-1").await;
    let mut ending = agent.clone();
    let end = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + 1));
    ending.validity.not_after = end;
    let mut renewed = Standing::new(collector.identity.clone(), ending.clone());
    let mut standing = Standing::new(collector.identity.clone(), ending);
    renewed.renew(agent);
    let start = Instant::now();
    let told = in_time("the end", standing.lost()).await.to_string();
    assert!(start.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", start.elapsed());
    assert!(UnixTime::now().as_secs() > end.as_secs());
    assert!(told.contains("was valid until") && told.contains("check the clocks"), "{told}");
    let stays = tokio::time::timeout(Duration::from_millis(300), renewed.lost()).await;
    assert!(stays.is_err(), "{stays:?}");
}
