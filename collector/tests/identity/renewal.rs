//! Exchanging a certificate for the next one.

use agent::identity::Credentials;
use collector::identity::Renewed;
use rustls::pki_types::UnixTime;
use settings::InFull;
use wire::message::RenewRequest;
use wire::pem;

use crate::support::*;

/// A request for the next certificate, with a new key.
fn request() -> RenewRequest {
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    RenewRequest { csr_der: csr.der().to_vec() }
}

/// A client whose certificate is due for renewal.
async fn due(collector: &mut Collector, dir: &std::path::Path) -> collector::identity::Agent {
    enrolled_at(&collector.identity, "web-1", dir, ago(70 * DAY)).await;
    let credentials = Credentials::load(dir, None, UnixTime::now()).unwrap();
    let _connected = collector.connect(&credentials).await;
    collector.next_agent().await.0
}

#[tokio::test]
async fn a_certificate_renews_itself_over_an_open_connection() {
    let (mut collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    enrolled_at(&collector.identity, "web-1", host.path(), ago(70 * DAY)).await;
    let first = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    assert!(first.renew_due(UnixTime::now()));
    let (_endpoint, connection) = collector.connect(&first).await;
    let (agent, _) = collector.next_agent().await;
    let key = || pem::read_key(&host.path().join("key.pem")).unwrap();
    let first_key = key();
    agent::identity::renew(&connection, &first, host.path()).await.unwrap();
    assert_ne!(key(), first_key, "the key is new");
    let loaded = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    assert!(!loaded.renew_due(UnixTime::now()));
    let _connected = collector.connect(&loaded).await;
    let (renewed, _) = collector.next_agent().await;
    assert_eq!(renewed.client, agent.client);
    assert_ne!(renewed.serial, agent.serial);
}

#[tokio::test]
async fn a_revoked_agent_can_not_renew() {
    let (mut collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let agent = due(&mut collector, host.path()).await;
    collector.identity.records().revoke(&client("web-1"), UnixTime::now()).unwrap();
    let error =
        collector.identity.renew(&agent, &request(), LOCALHOST, UnixTime::now()).unwrap_err();
    assert!(error.in_full().to_string().contains("revoked"), "{error}");
}

#[tokio::test]
async fn before_two_thirds_of_its_life_a_certificate_is_not_renewed_and_the_agent_is_told_when() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    let (_endpoint, connection) = collector.connect(&credentials).await;
    let _agent = collector.next_agent().await;
    let issued = dir.path().join("identity/issued/web-1");
    let before = (std::fs::read(&issued).unwrap(), rejects("early_renewal"));
    let error = agent::identity::renew(&connection, &credentials, host.path()).await.unwrap_err();
    let due = wire::certificate::utc(credentials.validity().due());
    let said = error.in_full().to_string();
    assert!(said.contains(&format!("renewed from {due} on")) && said.contains("clock"), "{said}");
    assert_eq!(std::fs::read(&issued).unwrap(), before.0);
    assert!(rejects("early_renewal") > before.1);
}

#[tokio::test]
async fn of_one_that_renews_again_and_again_few_certificates_are_kept() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let agent = due(&mut collector, host.path()).await;
    for _ in 0..50 {
        let renewed = collector.identity.renew(&agent, &request(), LOCALHOST, UnixTime::now());
        let Renewed { agent: next, .. } = renewed.unwrap();
        let known = records(dir.path()).list().unwrap().remove(0);
        let serials: Vec<_> = known.certificates.iter().map(|it| it.serial.clone()).collect();
        assert!(serials.len() <= 4, "{serials:?}");
        assert!(serials.contains(&agent.serial) && serials.contains(&next.serial));
    }
}

#[tokio::test]
async fn a_renewal_that_is_broken_off_anywhere_leaves_a_pair_that_is_good() {
    for (kept, renewed) in [("ca.pem", false), ("key.pem", false), ("cert.pem", true)] {
        let (mut collector, _dir) = own_ca();
        let host = tempfile::tempdir().unwrap();
        enrolled_at(&collector.identity, "web-1", host.path(), ago(70 * DAY)).await;
        let first = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
        let (_endpoint, connection) = collector.connect(&first).await;
        let (before, _) = collector.next_agent().await;
        // This file can't be replaced, nor any later one.
        let barrier = host.path().join(format!(".{kept}.new"));
        std::fs::create_dir(&barrier).unwrap();
        let done = agent::identity::renew(&connection, &first, host.path()).await;
        assert_eq!(done.is_ok(), renewed, "{kept}: {done:?}");
        let loaded = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
        let _connected = collector.connect(&loaded).await;
        let (after, _) = collector.next_agent().await;
        assert_eq!(after.serial != before.serial, renewed, "{kept}");
    }
}

#[tokio::test]
async fn a_host_that_was_enrolled_again_meanwhile_keeps_what_it_got() {
    let (mut collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    enrolled_at(&collector.identity, "web-1", host.path(), ago(70 * DAY)).await;
    let first = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    let (_endpoint, connection) = collector.connect(&first).await;
    let _agent = collector.next_agent().await;
    let other = tempfile::tempdir().unwrap();
    collector.enroll("web-2", other.path()).await;
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::copy(other.path().join(name), host.path().join(name)).unwrap();
    }
    let error = agent::identity::renew(&connection, &first, host.path()).await.unwrap_err();
    assert!(error.in_full().to_string().contains("another process"), "{error}");
    let loaded = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    assert_eq!(loaded.client(), &client("web-2"));
}
