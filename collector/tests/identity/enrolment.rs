//! One token, one certificate.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use agent::connection::Server;
use agent::identity::{Asked, EnrollError};
use collector::identity::{NewToken, Peer};
use quinn::Endpoint;
use rustls::pki_types::UnixTime;
use settings::InFull;
use testbed::{SLACK, in_time};
use wire::certificate::{COLLECTOR_NAME, Facts};
use wire::codec;
use wire::message::{Message, RenewRequest};
use wire::pem;
use wire::token::{Address, Token};

use crate::support::*;

fn refusal(result: Result<agent::identity::Enrolled, EnrollError>) -> String {
    match result.unwrap_err() {
        EnrollError::Refused(reason) => reason,
        other => panic!("{other}"),
    }
}

fn chosen(id: &str) -> Asked {
    Asked::Chosen(client(id))
}

#[tokio::test]
async fn a_token_gives_a_certificate_by_which_the_agent_is_known() {
    let (mut collector, _dir) = own_ca();
    let before = counter("netmon_collector_enrolments_total");
    let host = tempfile::tempdir().unwrap();
    // As it is pasted.
    let token: Token = format!(" {}\n", collector.token()).parse().unwrap();
    let enrolled = collector.enroll_with(&token, "Web-1", host.path()).await.unwrap();
    assert_eq!(enrolled.server, collector.server());
    assert!(counter("netmon_collector_enrolments_total") > before);

    let loaded = agent::identity::Credentials::load(host.path(), None, UnixTime::now()).unwrap();
    assert_eq!(loaded.client(), &client("web-1"));
    let life = loaded.validity().not_after.as_secs() - UnixTime::now().as_secs();
    assert!((89 * DAY..=90 * DAY).contains(&life), "{life}");
    let _connected = collector.connect(&loaded).await;
    let (agent, _) = collector.next_agent().await;
    assert_eq!(agent.client, client("web-1"));

    let known = collector.identity.records().list().unwrap();
    assert_eq!(known[0].client, "web-1");
    assert_eq!(known[0].certificates[0].serial, agent.serial);
    assert_eq!(mode(&host.path().join("key.pem")), 0o600);
}

#[tokio::test]
async fn a_token_is_good_once() {
    let (collector, _dir) = own_ca();
    let token = collector.token();
    let host = tempfile::tempdir().unwrap();
    collector.enroll_with(&token, "first", host.path()).await.unwrap();
    let before = rejects("bad_token");
    let second = tempfile::tempdir().unwrap();
    let reason = refusal(collector.enroll_with(&token, "second", second.path()).await);
    assert!(reason.contains("used before") && reason.contains("collector token"), "{reason}");
    assert!(rejects("bad_token") > before);
    assert!(!second.path().join("key.pem").exists());
}

#[tokio::test]
async fn a_host_is_not_told_what_fails_inside_the_collector() {
    let (collector, dir) = own_ca();
    let token = collector.token();
    let file = dir.path().join("identity/tokens").join(token.secret.digest());
    assert!(file.exists());
    wire::private_file::write(&file, b"{").unwrap();
    let host = tempfile::tempdir().unwrap();
    let reason = refusal(collector.enroll_with(&token, "web-1", host.path()).await);
    assert_eq!(reason, "the collector can't give certificates now: see its log");
    // The collector's own log and its audit have the file and the remedy.
    let failed = ask(&collector.identity, &request(&token, "web-1").0, &collector.store).await;
    let told = failed.unwrap_err().in_full().to_string();
    assert!(told.contains(&*file.to_string_lossy()), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_enrol_at_once_with_one_token_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    // Like two collector processes on one directory.
    let identities = [Arc::new(open(dir.path())), Arc::new(open(dir.path()))];
    // With a shared store and without: the directory's lock alone must suffice, and so must the store.
    let stores = [Uses::new(), Uses::new()];
    let runtime = tokio::runtime::Handle::current();
    for round in 0..20 {
        let token = identities[0].new_token(new_token(None), UnixTime::now()).unwrap();
        let barrier = Arc::new(Barrier::new(4));
        let racers: Vec<_> = (0..4)
            .map(|racer| {
                let (identity, barrier) = (identities[racer % 2].clone(), barrier.clone());
                let (uses, runtime) = (stores[racer / 2].clone(), runtime.clone());
                let (request, _) = request(&token, &format!("racer-{round}-{racer}"));
                std::thread::spawn(move || {
                    barrier.wait();
                    runtime.block_on(ask(&identity, &request, &uses)).is_ok()
                })
            })
            .collect();
        let won = racers.into_iter().map(|it| it.join().unwrap());
        assert_eq!(won.filter(|&won| won).count(), 1);
    }
    assert_eq!(identities[0].records().list().unwrap().len(), 20);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let (collector, _dir) = own_ca();
    let token = collector.identity.new_token(new_token(None), ago(7200)).unwrap();
    let before = rejects("expired_token");
    let host = tempfile::tempdir().unwrap();
    let reason = refusal(collector.enroll_with(&token, "late", host.path()).await);
    assert!(reason.contains("expired at 20"), "{reason}");
    assert!(rejects("expired_token") > before);
}

#[tokio::test]
async fn a_token_for_another_client_is_refused_and_stays_good_for_its_own() {
    let (collector, _dir) = own_ca();
    let token = collector.identity.new_token(new_token(Some("db-1")), UnixTime::now()).unwrap();
    let before = rejects("foreign_token");
    let host = tempfile::tempdir().unwrap();
    let reason = refusal(collector.enroll_with(&token, "web-1", host.path()).await);
    assert!(reason.contains("db-1") && reason.contains("web-1"), "{reason}");
    assert!(rejects("foreign_token") > before);
    collector.enroll_with(&token, "DB-1", host.path()).await.unwrap();
}

#[tokio::test]
async fn a_second_host_of_the_same_name_gets_no_certificate_and_both_ends_say_what_to_do() {
    let (mut collector, _dir) = own_ca();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let credentials = collector.enroll("debian", first.path()).await;
    let before = rejects("client_exists");
    for token in [new_token(None), new_token(Some("debian"))] {
        let token = collector.identity.new_token(token, UnixTime::now()).unwrap();
        let reason = refusal(collector.enroll_with(&token, "Debian", second.path()).await);
        assert!(reason.contains("client debian is there already"), "{reason}");
        assert!(reason.contains("collector token --client debian --replace"), "{reason}");
        assert!(reason.contains("client.id"), "{reason}");
        assert!(!second.path().join("key.pem").exists());
    }
    assert!(rejects("client_exists") >= before + 2);
    assert_eq!(collector.identity.records().list().unwrap()[0].certificates.len(), 1);
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    assert!(!collector.identity.is_revoked(&agent, Instant::now() + Duration::from_secs(2)));
    // The token is still unused.
    let token = collector.token();
    refusal(collector.enroll_with(&token, "debian", second.path()).await);
    collector.enroll_with(&token, "debian-2", second.path()).await.unwrap();
}

#[tokio::test]
async fn a_host_with_a_token_to_replace_a_client_takes_its_place_and_the_earlier_one_is_out() {
    let (mut collector, _dir) = own_ca();
    let (old_host, new_host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = collector.enroll("web-1", old_host.path()).await;
    let _connected = collector.connect(&old).await;
    let (old_agent, _) = collector.next_agent().await;
    let new = collector.replace("web-1", new_host.path()).await;
    let _connected = collector.connect(&new).await;
    let (new_agent, _) = collector.next_agent().await;
    let later = Instant::now() + Duration::from_secs(2);
    assert!(collector.identity.is_revoked(&old_agent, later));
    assert!(!collector.identity.is_revoked(&new_agent, later));
    // Its renewal ends nothing.
    let mut due = new_agent.clone();
    due.validity.not_before = ago(70 * DAY);
    due.validity.not_after =
        UnixTime::since_unix_epoch(Duration::from_secs(ago(0).as_secs() + DAY));
    let request = RenewRequest { csr_der: request(&collector.token(), "web-1").0.csr_der };
    let renewed =
        collector.identity.renew(&due, &request, LOCALHOST, UnixTime::now()).unwrap().agent;
    assert!(!collector.identity.is_revoked(&new_agent, later));
    assert!(!collector.identity.is_revoked(&renewed, later));
}

#[tokio::test]
async fn a_token_to_replace_makes_a_client_that_is_not_there_yet() {
    let (collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    collector.replace("web-1", host.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_that_take_one_new_name_at_once_exactly_one_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let identities = [Arc::new(open(dir.path())), Arc::new(open(dir.path()))];
    let (uses, runtime) = (Uses::new(), tokio::runtime::Handle::current());
    for round in 0..20 {
        let barrier = Arc::new(Barrier::new(4));
        let racers: Vec<_> = (0..4)
            .map(|racer| {
                let (identity, barrier) = (identities[racer % 2].clone(), barrier.clone());
                let token = identity.new_token(new_token(None), UnixTime::now()).unwrap();
                let (request, _) = request(&token, &format!("host-{round}"));
                let (uses, runtime) = (uses.clone(), runtime.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    runtime.block_on(ask(&identity, &request, &uses)).is_ok()
                })
            })
            .collect();
        let won = racers.into_iter().map(|it| it.join().unwrap());
        assert_eq!(won.filter(|&won| won).count(), 1);
    }
}

#[tokio::test]
async fn a_token_of_another_process_is_good_at_once_and_may_name_the_address() {
    let (collector, dir) = own_ca();
    let address = Address { host: "127.0.0.1".into(), port: collector.address.port() };
    let new = NewToken { addresses: vec![address], ..new_token(None) };
    let token = open(dir.path()).new_token(new, UnixTime::now()).unwrap();
    let host = tempfile::tempdir().unwrap();
    agent::identity::enroll(&token, &[], &chosen("web-1"), host.path()).await.unwrap();
}

#[tokio::test]
async fn nobody_gets_the_collectors_own_name() {
    let (collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let reason =
        refusal(collector.enroll_with(&collector.token(), COLLECTOR_NAME, host.path()).await);
    assert!(reason.contains("client.id"), "{reason}");
}

#[tokio::test]
async fn without_a_server_and_an_address_in_the_token_the_setting_is_named() {
    let (collector, _dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let error = agent::identity::enroll(&collector.token(), &[], &chosen("a"), host.path()).await;
    assert!(error.unwrap_err().in_full().to_string().contains("server.host"));
}

#[tokio::test]
async fn a_collector_of_another_ca_never_sees_the_secret() {
    let (real, _real_dir) = own_ca();
    let (mut other, _other_dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let error = other.enroll_with(&real.token(), "web-1", host.path()).await.unwrap_err();
    let text = error.in_full().to_string();
    assert!(text.contains("not the collector that made it"), "{text}");
    assert!(text.contains("the token is still unused"), "{text}");
    // The handshake itself fails: no stream, not one byte of a request.
    let seen = in_time("a connection", other.seen.recv()).await.unwrap();
    assert!(matches!(seen, Seen::Failed(quinn::ConnectionError::ConnectionClosed(_))), "{seen:?}");
}

#[tokio::test]
async fn a_stolen_ca_certificate_makes_nobody_the_collector() {
    let (real, dir) = own_ca();
    // Another certificate, shown together with the real CA's.
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![COLLECTOR_NAME.to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    let ca = pem::read_certificates(&dir.path().join("identity/ca.pem")).unwrap();
    let chain = vec![own.der().clone(), ca[0].clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    tls.alpn_protocols = vec![wire::ALPN_ENROLL.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let server = Server { host: "127.0.0.1".into(), port: endpoint.local_addr().unwrap().port() };
    let accepted = tokio::spawn(async move { endpoint.accept().await.unwrap().await.is_ok() });
    let host = tempfile::tempdir().unwrap();
    let enrolled =
        agent::identity::enroll(&real.token(), &[server], &chosen("web-1"), host.path()).await;
    let text = enrolled.unwrap_err().in_full().to_string();
    assert!(text.contains("not the collector that made it"), "{text}");
    assert!(!accepted.await.unwrap());
}

#[tokio::test]
async fn what_a_signing_request_asks_for_does_not_count() {
    let (collector, _dir) = own_ca();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["root".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let (mut request, _) = request(&collector.token(), "web-1");
    request.csr_der = params.serialize_request(&key).unwrap().der().to_vec();
    let reply = ask(&collector.identity, &request, &collector.store).await.unwrap();
    let path = std::path::Path::new("reply");
    let certificate = &pem::certificates(reply.certificate_pem.as_bytes(), path).unwrap()[0];
    assert_eq!(Facts::read(certificate).unwrap().dns_names, ["web-1"]);
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[tokio::test]
async fn a_signing_request_by_somebody_elses_key_is_refused_and_the_token_stays() {
    let (collector, _dir) = own_ca();
    let token = collector.token();
    let (sound, _) = request(&token, "web-1");
    let mut forged = sound.clone();
    *forged.csr_der.last_mut().unwrap() ^= 1;
    let error = ask(&collector.identity, &forged, &collector.store)
        .await
        .unwrap_err()
        .in_full()
        .to_string();
    assert!(error.contains("signing request"), "{error}");
    ask(&collector.identity, &sound, &collector.store).await.unwrap();
}

#[tokio::test]
async fn only_a_short_request_for_a_certificate_is_read() {
    let (collector, dir) = own_ca();
    let ca = dir.path().join("identity/ca.pem");
    let too_long = Message::RenewRequest(RenewRequest { csr_der: vec![0; 70_000] });
    let wrong = Message::RenewRequest(RenewRequest { csr_der: vec![0; 10] });
    for (bytes, said) in [
        (codec::encode_message(&too_long).unwrap(), "at most 65536"),
        (codec::encode_message(&wrong).unwrap(), "something else"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not a Network Monitor message"),
    ] {
        let config = quic_client(tls_client(&ca, None, wire::ALPN_ENROLL));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME);
        let connection = connecting.unwrap().await.unwrap();
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        let reason = closed(&connection).await;
        assert!(reason.contains(said), "{reason}");
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_sent_away() {
    let (mut collector, dir) = own_ca();
    let ca = dir.path().join("identity/ca.pem");
    let config = quic_client(tls_client(&ca, None, wire::ALPN_ENROLL));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let started = Instant::now();
    let connecting = endpoint.connect_with(config, collector.address, COLLECTOR_NAME).unwrap();
    let connection = connecting.await.unwrap();
    let seen = in_time("a connection", collector.seen.recv()).await.unwrap();
    assert!(matches!(seen, Seen::Admitted(Peer::Enrolling, _)), "{seen:?}");
    let reason = closed(&connection).await;
    assert!(reason.contains("no request within 5s"), "{reason}");
    assert!(started.elapsed() < Duration::from_secs(5) + SLACK);
}
