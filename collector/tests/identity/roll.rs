//! Replacing the CA: which peers stay connected, and for how long.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::identity::Credentials;
use collector::identity::{Identity, IdentityError};
use rustls::pki_types::UnixTime;
use wire::pem;

use crate::support::*;

fn roll(dir: &Path) -> collector::identity::Rolled {
    Identity::roll_ca(&dir.join("identity"), UnixTime::now()).unwrap()
}

/// Reloads changed files, as a collector does within a second.
fn take_up(collector: &Collector) {
    assert!(collector.identity.files_changed());
    let config = collector.identity.server_config(UnixTime::now()).unwrap();
    collector.endpoint.set_server_config(Some(config));
}

fn load(dir: &Path) -> Credentials {
    Credentials::load(dir, None, UnixTime::now()).unwrap()
}

async fn connects(collector: &mut Collector, credentials: &Credentials) -> bool {
    let _connected = collector.connect(credentials).await;
    matches!(collector.next().await, Seen::Admitted(..))
}

fn authorities(dir: &Path) -> usize {
    pem::read_certificates(&dir.join("ca.pem")).unwrap().len()
}

/// Copies a collector's CA to share it with another collector.
fn copy(from: &Path, to: &Path) {
    for name in ["ca.key", "ca.pem"] {
        let (from, to) = (from.join("identity").join(name), to.join("identity").join(name));
        let bytes = std::fs::read(from).unwrap();
        wire::private_file::create_directory(to.parent().unwrap()).unwrap();
        wire::private_file::write(&to, &bytes).unwrap();
    }
}

#[tokio::test]
async fn after_a_roll_over_all_go_on_and_learn_of_the_new_ca_by_their_next_certificates() {
    let (mut collector, dir) = own_ca();
    let other_dir = tempfile::tempdir().unwrap();
    copy(dir.path(), other_dir.path());
    let mut other = Collector::start(open(other_dir.path()));
    let [old, late, new] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    enrolled_at(&collector.identity, "old", old.path(), ago(70 * DAY)).await;
    let token = collector.token();
    while collector.identity.files_changed() {}
    let rolled = roll(dir.path());
    take_up(&collector);
    assert_eq!(collector.token().ca, rolled.fingerprint);

    // Agents that know only the old CA, by its certificate or by its token, stay connected.
    let before = load(old.path());
    let (_endpoint, connection) = collector.connect(&before).await;
    assert!(matches!(collector.next().await, Seen::Admitted(..)));
    let enrolled = collector.enroll_with(&token, "late", late.path()).await.unwrap();
    assert!(connects(&mut collector, &enrolled.credentials).await);
    let fresh = collector.enroll("new", new.path()).await;
    assert!(connects(&mut collector, &fresh).await);

    // The next certificate includes the new CA.
    assert_eq!(authorities(old.path()), 1);
    agent::identity::renew(&connection, &before, old.path()).await.unwrap();
    assert_eq!(authorities(old.path()), 2);
    assert!(connects(&mut collector, &load(old.path())).await);

    // A collector that shares the CA and doesn't know the new one: each accepts the other's
    // certificates.
    for dir in [&old, &late, &new] {
        assert!(connects(&mut other, &load(dir.path())).await);
    }
    let theirs = tempfile::tempdir().unwrap();
    let theirs = other.enroll("theirs", theirs.path()).await;
    assert!(connects(&mut collector, &theirs).await);
    // Once it has a copy.
    while other.identity.files_changed() {}
    copy(dir.path(), other_dir.path());
    take_up(&other);
    assert_eq!(other.token().ca, rolled.fingerprint);
    assert!(connects(&mut other, &load(new.path())).await);
    assert!(connects(&mut other, &theirs).await);
}

#[tokio::test]
async fn the_ca_before_goes_when_no_certificate_of_it_lives_and_a_wrong_clock_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Arc::new(open(dir.path()));
    let path = dir.path().join("identity");
    let now = UnixTime::now().as_secs();
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    // A certificate that was issued while the clock was a month ahead.
    let host = tempfile::tempdir().unwrap();
    enrolled_at(&identity, "web-1", host.path(), at(now + 30 * DAY)).await;
    let rolled = roll(dir.path());
    assert_eq!(rolled.until.as_secs() / DAY, (now + 121 * DAY) / DAY);
    let again = Identity::roll_ca(&path, at(now + 120 * DAY)).unwrap_err();
    let until = wire::certificate::utc(rolled.until);
    assert!(again.to_string().contains(&format!("trusted until {until}")), "{again}");
    for (day, trusted) in [(0, 2), (120, 2), (122, 1), (5000, 1), (1, 2)] {
        identity.server_config(at(now + day * DAY)).unwrap();
        assert_eq!(authorities(&path), trusted, "on day {day}");
    }
    let next = Identity::roll_ca(&path, at(now + 122 * DAY)).unwrap();
    assert_ne!(next.fingerprint, rolled.fingerprint);
}

#[test]
fn a_roll_over_that_was_broken_off_is_done_or_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = dir.path().join("identity");
    let before = std::fs::read(path.join("ca.pem")).unwrap();
    let rolled = roll(dir.path());
    // The public copy is the old one.
    std::fs::write(path.join("ca.pem"), before).unwrap();
    let identity = open(dir.path());
    assert_eq!(authorities(&path), 2);
    let token = identity.new_token(new_token(None), UnixTime::now()).unwrap();
    assert_eq!(token.ca, rolled.fingerprint);
}

#[tokio::test]
async fn a_ca_of_an_older_release_is_used_as_it_is_and_can_be_rolled_over() {
    let (collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    let key = dir.path().join("identity/ca.key");
    let text = std::fs::read_to_string(&key).unwrap();
    // Without the certificate after it.
    let alone = &text[..text.find("-----BEGIN CERTIFICATE").unwrap()];
    wire::private_file::write(&key, alone.as_bytes()).unwrap();
    let mut collector = Collector::start(open(dir.path()));
    assert!(connects(&mut collector, &credentials).await);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), alone);
    while collector.identity.files_changed() {}
    roll(dir.path());
    take_up(&collector);
    assert!(connects(&mut collector, &credentials).await);
}

#[test]
fn where_there_is_no_ca_none_is_made_by_rolling_it_over() {
    let dir = tempfile::tempdir().unwrap();
    let error = Identity::roll_ca(&dir.path().join("identity"), UnixTime::now()).unwrap_err();
    assert!(matches!(error, IdentityError::NoCa(_)), "{error}");
    assert!(!dir.path().join("identity").exists());
}
