//! Which peers are admitted, and what refused peers are told.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use agent::identity::{Credentials, IdentityError};
use quinn::{ConnectionError, Endpoint};
use rustls::pki_types::UnixTime;
use settings::InFull;
use testbed::{PATIENCE, SLACK, in_time};
use wire::certificate::{COLLECTOR_NAME, Facts};
use wire::pem;

use crate::support::*;

#[tokio::test]
async fn an_agent_without_a_certificate_is_told_how_to_get_one() {
    let (mut collector, dir) = own_ca();
    let before = rejects("no_certificate");
    let config = quic_client(tls_client(&dir.path().join("identity/ca.pem"), None, wire::ALPN));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME).unwrap();
    // The refusal may arrive before this end finishes the handshake.
    let reason = match connecting.await {
        Ok(connection) => closed(&connection).await,
        Err(error) => agent::connection::control::close_reason(&error),
    };
    assert!(reason.contains("agent enroll TOKEN"), "{reason}");
    match collector.next().await {
        Seen::Refused(error) => {
            assert!(error.in_full().to_string().contains("no certificate"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    assert!(rejects("no_certificate") > before);
}

#[tokio::test]
async fn agents_of_earlier_protocols_are_admitted_too() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    collector.enroll("web-1", host.path()).await;
    for alpn in [wire::ALPN, wire::ALPN_2, wire::ALPN_1] {
        let chain = pem::read_certificates(&host.path().join("cert.pem")).unwrap();
        let key = pem::read_key(&host.path().join("key.pem")).unwrap();
        let ca = dir.path().join("identity/ca.pem");
        let config = quic_client(tls_client(&ca, Some((chain, key)), alpn));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME).unwrap();
        let _connection = connecting.await.unwrap();
        let seen = collector.next().await;
        assert!(matches!(seen, Seen::Admitted(..)));
    }
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let (mut collector, dir) = own_ca();
    let (other, _other_dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    other.enroll("web-1", host.path()).await;
    let before = rejects("unknown_ca");
    let chain = pem::read_certificates(&host.path().join("cert.pem")).unwrap();
    let key = pem::read_key(&host.path().join("key.pem")).unwrap();
    let ca = dir.path().join("identity/ca.pem");
    let config = quic_client(tls_client(&ca, Some((chain, key)), wire::ALPN));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME).unwrap();
    let reason = match connecting.await {
        Ok(connection) => closed(&connection).await,
        Err(error) => error.in_full().to_string(),
    };
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    match collector.next().await {
        Seen::Failed(error) => {
            assert!(error.in_full().to_string().contains("UnknownIssuer"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    assert!(rejects("unknown_ca") > before);
}

#[tokio::test]
async fn an_agent_trusts_no_collector_of_another_ca() {
    let (collector, _dir) = own_ca();
    let (other, _other_dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    let config = credentials.client_config();
    let error =
        agent::connection::connect(&other.server(), COLLECTOR_NAME, &config).await.unwrap_err();
    assert!(error.in_full().to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_both_ends() {
    let (mut collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let files = enrolled_at(&collector.identity, "web-1", host.path(), ago(91 * DAY)).await;
    let error = Credentials::load(host.path(), None, UnixTime::now()).unwrap_err();
    assert!(matches!(error, IdentityError::Expired { .. }));
    assert!(error.in_full().to_string().contains("agent enroll TOKEN"), "{error}");

    // An agent whose clock lags doesn't see that.
    let credentials = Credentials::load(host.path(), None, ago(10 * DAY)).unwrap();
    assert!(credentials.renew_due(ago(10 * DAY)));
    assert!(files.cert.exists());
    let before = rejects("expired_certificate");
    let (_endpoint, connection) = collector.connect(&credentials).await;
    let reason = closed(&connection).await;
    assert!(reason.contains("expired") && reason.contains("check the clocks"), "{reason}");
    assert_eq!(reason.matches("Z").count(), 3, "the limit and both clocks in UTC: {reason}");
    assert!(matches!(collector.next().await, Seen::Failed(_)));
    assert!(rejects("expired_certificate") > before);
}

#[tokio::test]
async fn a_revoked_agent_is_noticed_within_a_second_and_refused() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    let start = Instant::now();
    assert!(!collector.identity.is_revoked(&agent, start));

    // In another process, as `collector revoke` does.
    records(dir.path()).revoke(&client("web-1"), UnixTime::now()).unwrap();
    let other = collector::identity::Agent { client: client("web-2"), ..agent.clone() };
    let noticed = start + Duration::from_secs(1);
    assert!(collector.identity.is_revoked(&agent, noticed));
    assert!(!collector.identity.is_revoked(&other, noticed));

    let before = rejects("revoked");
    // A listing stays valid for a fifth of a second.
    let deadline = Instant::now() + PATIENCE;
    let reason = loop {
        let (_endpoint, connection) = collector.connect(&credentials).await;
        match collector.next().await {
            Seen::Refused(_) => break closed(&connection).await,
            seen => assert!(Instant::now() < deadline, "{seen:?}"),
        }
    };
    assert!(reason.contains("web-1 was revoked"), "{reason}");
    assert!(rejects("revoked") > before);
}

#[tokio::test]
async fn after_a_revocation_a_new_certificate_is_good_and_the_old_one_stays_refused() {
    let (mut collector, dir) = own_ca();
    let (old_host, new_host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = collector.enroll("web-1", old_host.path()).await;
    let _connected = collector.connect(&old).await;
    let (old_agent, _) = collector.next_agent().await;
    // All within the same second, on purpose.
    collector.identity.records().revoke(&client("web-1"), UnixTime::now()).unwrap();
    let new = collector.replace("web-1", new_host.path()).await;
    let _connected = collector.connect(&new).await;
    let (new_agent, _) = collector.next_agent().await;
    for identity in [&*collector.identity, &open(dir.path())] {
        let later = Instant::now() + Duration::from_secs(2);
        assert!(identity.is_revoked(&old_agent, later));
        assert!(!identity.is_revoked(&new_agent, later));
    }
    let known = &collector.identity.records().list().unwrap()[0];
    assert!(known.revoked_at.is_some());
    assert_eq!(known.certificates.len(), 1);
    // Once more.
    collector.identity.records().revoke(&client("web-1"), UnixTime::now()).unwrap();
    let later = Instant::now() + Duration::from_secs(4);
    assert!(collector.identity.is_revoked(&new_agent, later));
}

#[tokio::test]
async fn the_collectors_certificate_is_renewed_and_open_connections_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity");
    let identity = collector::identity::Identity::open(&path, None, ago(70 * DAY)).unwrap();
    let serial = || {
        let chain = pem::read_certificates(&path.join("server.pem")).unwrap();
        Facts::read(&chain[0]).unwrap().serial
    };
    let first = serial();
    // Not before it is due.
    identity.server_config(ago(60 * DAY)).unwrap();
    assert_eq!(serial(), first);
    let mut collector = Collector::start_on(identity, UdpSocket::bind("127.0.0.1:0").unwrap());
    assert_ne!(serial(), first);

    let host = tempfile::tempdir().unwrap();
    let credentials = collector.enroll("web-1", host.path()).await;
    let (_endpoint, connection) = collector.connect(&credentials).await;
    let (_, accepted) = collector.next_agent().await;
    let config = collector.identity.server_config(UnixTime::now()).unwrap();
    collector.endpoint.set_server_config(Some(config));
    let _second = collector.connect(&credentials).await;
    let _ = collector.next_agent().await;
    connection.send_datagram(b"still here"[..].into()).unwrap();
    let datagram = in_time("a datagram", accepted.read_datagram()).await;
    assert_eq!(&datagram.unwrap()[..], b"still here");
}

#[tokio::test]
async fn no_session_is_resumed_and_nothing_is_sent_before_the_handshake() {
    let (mut collector, dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    collector.enroll("web-1", host.path()).await;
    let chain = pem::read_certificates(&host.path().join("cert.pem")).unwrap();
    let key = pem::read_key(&host.path().join("key.pem")).unwrap();
    let ca = dir.path().join("identity/ca.pem");
    let mut tls = tls_client(&ca, Some((chain, key)), wire::ALPN);
    tls.enable_early_data = true;
    let config = quic_client(tls);
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = collector.address;
    let connecting = || endpoint.connect_with(config.clone(), address, COLLECTOR_NAME);
    let first = connecting().unwrap().await.unwrap();
    // A ticket would have arrived before this.
    let (_, accepted) = collector.next_agent().await;
    accepted.send_datagram(b"after the handshake"[..].into()).unwrap();
    in_time("a datagram", first.read_datagram()).await.unwrap();
    assert!(connecting().unwrap().into_0rtt().is_err());
}

#[test]
fn an_agent_notices_at_once_that_the_collector_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let host = tempfile::tempdir().unwrap();
    let agent = tokio::runtime::Runtime::new().unwrap();
    let first = tokio::runtime::Runtime::new().unwrap();
    let mut collector = first.block_on(async { Collector::start(open(dir.path())) });
    let address = collector.address;
    let credentials = agent.block_on(collector.enroll("web-1", host.path()));
    let (_endpoint, connection) = agent.block_on(collector.connect(&credentials));
    let accepted = first.block_on(collector.next_agent());
    // Killed: the connection is not closed.
    first.shutdown_background();
    drop((accepted, collector));

    let second = tokio::runtime::Runtime::new().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let socket = loop {
        match UdpSocket::bind(address) {
            Ok(socket) => break socket,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let restarted = Instant::now();
    let _collector = second.block_on(async { Collector::start_on(open(dir.path()), socket) });
    let reason = agent.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                reason = connection.closed() => break reason,
                _ = tick.tick() => { let _closed = connection.send_datagram(vec![0; 64].into()); }
            }
        }
    });
    assert_eq!(reason, ConnectionError::Reset);
    // It would notice by itself after the idle timeout of 30 s.
    assert!(restarted.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", restarted.elapsed());
}
