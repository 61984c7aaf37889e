//! The files of the identity's directory, and damage to them.

use std::path::PathBuf;

use agent::identity::{Credentials, IdentityError as AgentError};
use collector::identity::{Identity, IdentityError};
use rustls::pki_types::UnixTime;
use settings::InFull;

use crate::support::*;

fn reopen(dir: &tempfile::TempDir) -> Result<Identity, IdentityError> {
    Identity::open(&dir.path().join("identity"), None, UnixTime::now())
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let identity = open(dir.path());
    identity.new_token(new_token(None), UnixTime::now()).unwrap();
    let path = |name: &str| dir.path().join("identity").join(name);
    assert_eq!(mode(&path("")), 0o700);
    for name in ["ca.key", "server.pem", "reset.key"] {
        assert_eq!(mode(&path(name)), 0o600, "{name}");
    }
    let tokens: Vec<PathBuf> =
        std::fs::read_dir(path("tokens")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(mode(&tokens[0]), 0o600);
}

#[test]
fn a_second_start_finds_the_same_ca() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = |it: &Identity| it.new_token(new_token(None), UnixTime::now()).unwrap().ca;
    assert_eq!(fingerprint(&open(dir.path())), fingerprint(&open(dir.path())));
}

#[test]
fn several_that_start_at_once_make_one_ca() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                open(&path).new_token(new_token(None), UnixTime::now()).unwrap().ca
            })
        })
        .collect();
    let mut seen: Vec<_> = starts.into_iter().map(|it| it.join().unwrap()).collect();
    seen.dedup();
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_fix() {
    for name in ["ca.key", "server.pem", "reset.key"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let path = dir.path().join("identity").join(name);
        chmod(&path, 0o644);
        let text = reopen(&dir).unwrap_err().in_full().to_string();
        assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
        chmod(&path, 0o600);
        reopen(&dir).unwrap();
    }
}

#[test]
fn what_is_damaged_is_named() {
    for name in ["ca.key", "server.pem", "reset.key"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let path = dir.path().join("identity").join(name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let text = reopen(&dir).unwrap_err().in_full().to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
}

#[test]
fn a_damaged_copy_of_the_cas_certificate_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = dir.path().join("identity/ca.pem");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    drop(open(dir.path()));
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_ca_whose_key_is_gone_is_not_replaced_silently() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::remove_file(dir.path().join("identity/ca.key")).unwrap();
    let text = reopen(&dir).unwrap_err().in_full().to_string();
    assert!(text.contains("ca.key") && text.contains("backup"), "{text}");
}

#[tokio::test]
async fn a_lost_certificate_of_the_ca_is_made_again_and_agents_go_on_trusting_it() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    std::fs::remove_file(dir.path().join("identity/ca.pem")).unwrap();
    collector = Collector::start(reopen(&dir).unwrap());
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    assert_eq!(agent.client, client("web-1"));
}

#[tokio::test]
async fn the_agent_names_what_is_missing_damaged_or_readable_by_others() {
    let (collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let load = || Credentials::load(host.path(), None, UnixTime::now());
    let text = load().unwrap_err().in_full().to_string();
    assert!(text.contains("isn't enrolled") && text.contains("agent enroll TOKEN"), "{text}");

    collector.enroll("web-1", host.path()).await;
    let key = host.path().join("key.pem");
    chmod(&key, 0o640);
    let text = load().unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("chmod 600 {}", key.display())), "{text}");
    chmod(&key, 0o600);
    load().unwrap();

    // The key of another enrolment.
    let other = tempfile::tempdir().unwrap();
    collector.enroll("web-2", other.path()).await;
    let own_key = std::fs::read(&key).unwrap();
    let foreign = parts(&other.path().join("key.pem")).0 + &parts(&key).1;
    std::fs::write(&key, foreign).unwrap();
    let error = load().unwrap_err();
    assert!(matches!(error, AgentError::Unusable { .. }), "{error}");
    assert!(error.in_full().to_string().contains("agent enroll TOKEN"), "{error}");
    std::fs::write(&key, &own_key).unwrap();

    // An older release stored the certificate only in cert.pem.
    for (name, own_key) in
        [("ca.pem", &own_key), ("key.pem", &own_key), ("cert.pem", &parts(&key).0.into_bytes())]
    {
        std::fs::write(&key, own_key).unwrap();
        load().unwrap();
        let path = host.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let text = load().unwrap_err().in_full().to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        std::fs::write(&path, whole).unwrap();
    }
    load().unwrap();
}

/// The key in a file, and the certificates after it.
fn parts(path: &std::path::Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let (key, certificates) = text.split_at(text.find("-----BEGIN CERTIFICATE").unwrap());
    (key.to_owned(), certificates.to_owned())
}

#[tokio::test]
async fn enrolling_again_replaces_key_and_certificate() {
    let (mut collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    collector.enroll("web-1", host.path()).await;
    let first = std::fs::read(host.path().join("key.pem")).unwrap();
    collector.replace("web-1", host.path()).await;
    assert_ne!(std::fs::read(host.path().join("key.pem")).unwrap(), first);
    let loaded = Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    let _connected = collector.connect(&loaded).await;
    let _ = collector.next_agent().await;
}

#[test]
fn a_certificate_made_while_the_clock_was_wrong_is_replaced_at_once() {
    for wrong in [0, 2_840_140_800] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(wrong));
        let identity = Identity::open(&path, None, at).unwrap();
        let valid = || {
            let chain = wire::pem::read_certificates(&path.join("server.pem")).unwrap();
            let facts = wire::certificate::Facts::read(&chain[0]).unwrap();
            facts.validity.covers(UnixTime::now())
        };
        assert!(!valid());
        // The clock is stepped.
        identity.server_config(UnixTime::now()).unwrap();
        assert!(valid(), "{wrong}");
        drop(identity);
        drop(Identity::open(&path, None, at).unwrap());
        assert!(!valid());
        reopen(&dir).unwrap();
        assert!(valid(), "{wrong}");
    }
}
