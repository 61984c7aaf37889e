//! The operator's own PKI: a root, an intermediate, and certificates issued by that.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use agent::identity::{Credentials, EnrollError};
use collector::identity::{Identity, IdentityError, Standing};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls::pki_types::UnixTime;
use settings::InFull;
use tempfile::TempDir;
use testbed::in_time;
use wire::certificate::Facts;
use wire::pem::{self, TlsFiles};

use crate::support::*;

struct OperatorPki {
    dir: TempDir,
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl OperatorPki {
    fn new() -> Self {
        let ca = |name: &str| {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params
        };
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let intermediate = CertifiedIssuer::signed_by(ca("intermediate"), key, &root).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), root, intermediate }
    }

    /// A certificate and its files.
    fn issue(&self, name: &str, sans: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> TlsFiles {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.intermediate).unwrap();
        let file = |what: &str| self.dir.path().join(format!("{name}.{what}"));
        let files = TlsFiles { ca: file("ca"), cert: file("cert"), key: file("key"), crl: None };
        std::fs::write(&files.ca, self.root.pem()).unwrap();
        std::fs::write(&files.cert, certificate.pem() + &self.intermediate.pem()).unwrap();
        wire::private_file::write(&files.key, key.serialize_pem().as_bytes()).unwrap();
        files
    }

    fn server(&self) -> TlsFiles {
        let san = SanType::IpAddress("127.0.0.1".parse().unwrap());
        self.issue("server", vec![san], ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, names: &[&str]) -> TlsFiles {
        let sans = names.iter().map(|&name| SanType::DnsName(name.try_into().unwrap()));
        self.issue("client", sans.collect(), ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// Writes the intermediate CA's revocation list with these certificates to `path`.
fn revoke(pki: &OperatorPki, path: &Path, serials: &[&str]) {
    revoke_by(&pki.intermediate, path, serials);
}

fn revoke_by(ca: &CertifiedIssuer<'static, KeyPair>, path: &Path, serials: &[&str]) {
    let revoked = |serial: &&str| {
        let bytes: Vec<u8> = (0..serial.len() / 2)
            .map(|n| u8::from_str_radix(&serial[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(&bytes),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        // An outdated list still counts.
        next_update: rcgen::date_time_ymd(2026, 1, 2),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    std::fs::write(path, list.signed_by(ca).unwrap().pem().unwrap()).unwrap();
}

#[tokio::test]
async fn certificates_that_the_operators_ca_has_revoked_are_refused_on_open_connections_too() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let crl = pki.dir.path().join("crl");
    revoke(&pki, &crl, &[]);
    let files = TlsFiles { crl: Some(crl.clone()), ..pki.server() };
    let mut collector = Collector::start(identity(&dir, &files).unwrap());
    let credentials = load(&pki.client(&["web-1"]));
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    let other = load(&pki.client(&["web-2"]));
    let mut standing = Standing::new(collector.identity.clone(), agent.clone());
    let nothing = tokio::time::timeout(Duration::from_millis(300), standing.lost()).await;
    assert!(nothing.is_err(), "{nothing:?}");

    // The files have been read, and this one changes.
    while collector.identity.files_changed() {}
    revoke(&pki, &crl, &[&agent.serial]);
    assert!(collector.identity.files_changed());
    let config = collector.identity.server_config(UnixTime::now()).unwrap();
    collector.endpoint.set_server_config(Some(config));
    let told = in_time("the revocation", standing.lost()).await;
    assert!(told.to_string().contains("web-1 was revoked"), "{told}");
    let (_endpoint, connection) = collector.connect(&credentials).await;
    let _reason = closed(&connection).await;
    assert!(matches!(collector.next().await, Seen::Failed(_)));
    let _connected = collector.connect(&other).await;
    assert_eq!(collector.next_agent().await.0.client, client("web-2"));

    // An unusable file leaves the previous one in effect.
    std::fs::write(&crl, "damaged").unwrap();
    let text = collector.identity.server_config(UnixTime::now()).unwrap_err().in_full().to_string();
    assert!(text.contains("/crl holds no certificate revocation list"), "{text}");
    assert!(collector.identity.is_revoked(&agent, Instant::now()));
}

#[tokio::test]
async fn what_a_revoked_ca_has_signed_is_refused_on_open_connections_too() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let crl = pki.dir.path().join("crl");
    revoke_by(&pki.root, &crl, &[]);
    let files = TlsFiles { crl: Some(crl.clone()), ..pki.server() };
    let mut collector = Collector::start(identity(&dir, &files).unwrap());
    let _connected = collector.connect(&load(&pki.client(&["web-1"]))).await;
    let (agent, _) = collector.next_agent().await;
    assert!(!collector.identity.is_revoked(&agent, Instant::now()));
    let serial = Facts::read(pki.intermediate.der()).unwrap().serial;
    revoke_by(&pki.root, &crl, &[&serial]);
    collector.identity.server_config(UnixTime::now()).unwrap();
    assert!(collector.identity.is_revoked(&agent, Instant::now()));
}

#[tokio::test]
async fn an_agent_too_refuses_a_collector_whose_certificate_was_revoked() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let files = pki.server();
    let mut collector = Collector::start(identity(&dir, &files).unwrap());
    let crl = pki.dir.path().join("crl");
    let agent = TlsFiles { crl: Some(crl.clone()), ..pki.client(&["web-1"]) };
    revoke(&pki, &crl, &[]);
    let _connected = collector.connect(&load(&agent)).await;
    let _ = collector.next_agent().await;
    let serial = Facts::read(&pem::read_certificates(&files.cert).unwrap()[0]).unwrap().serial;
    revoke(&pki, &crl, &[&serial]);
    let config = load(&agent).client_config();
    let server = collector.server();
    let error = agent::connection::connect(&server, "127.0.0.1", &config).await.unwrap_err();
    assert!(error.in_full().to_string().contains("Revoked"), "{error}");
}

fn identity(dir: &TempDir, files: &TlsFiles) -> Result<Identity, IdentityError> {
    Identity::open(&dir.path().join("identity"), Some(files), UnixTime::now())
}

fn load(files: &TlsFiles) -> Credentials {
    Credentials::load(Path::new("/nowhere"), Some(files), UnixTime::now()).unwrap()
}

#[tokio::test]
async fn agent_and_collector_meet_by_the_operators_certificates() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(identity(&dir, &pki.server()).unwrap());
    assert!(!dir.path().join("identity/ca.key").exists());
    let credentials = load(&pki.client(&["web-1"]));
    assert!(!credentials.renew_due(UnixTime::now()));
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    assert_eq!(agent.client, client("web-1"));
}

#[tokio::test]
async fn a_certificate_that_does_not_say_one_client_id_is_refused() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(identity(&dir, &pki.server()).unwrap());
    let files = pki.client(&["web-1", "web-2"]);
    let error = Credentials::load(Path::new("/nowhere"), Some(&files), UnixTime::now());
    let text = error.unwrap_err().in_full().to_string();
    assert!(text.contains("client.cert") && text.contains("exactly one"), "{text}");

    let before = rejects("bad_certificate");
    let chain = pem::read_certificates(&files.cert).unwrap();
    let tls = tls_client(&files.ca, Some((chain, pem::read_key(&files.key).unwrap())), wire::ALPN);
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(quic_client(tls), collector.address, "127.0.0.1");
    let reason = match connecting.unwrap().await {
        Ok(connection) => closed(&connection).await,
        Err(error) => agent::connection::control::close_reason(&error),
    };
    assert!(reason.contains("exactly one"), "{reason}");
    assert!(matches!(collector.next().await, Seen::Refused(_)));
    assert!(rejects("bad_certificate") > before);
}

#[tokio::test]
async fn a_servers_certificate_makes_nobody_an_agent() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(identity(&dir, &pki.server()).unwrap());
    let name = SanType::DnsName("web-1".try_into().unwrap());
    let files = pki.issue("wrong", vec![name], ExtendedKeyUsagePurpose::ServerAuth);
    let (_endpoint, connection) = collector.connect(&load(&files)).await;
    let _reason = closed(&connection).await;
    assert!(matches!(collector.next().await, Seen::Failed(_)));
}

#[tokio::test]
async fn files_that_were_replaced_take_effect_on_new_connections() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let files = pki.server();
    let mut collector = Collector::start(identity(&dir, &files).unwrap());
    let credentials = load(&pki.client(&["web-1"]));
    let (_endpoint, old) = collector.connect(&credentials).await;
    let _ = collector.next_agent().await;

    let replaced = Facts::read(&pem::read_certificates(&pki.server().cert).unwrap()[0]).unwrap();
    let config = collector.identity.server_config(UnixTime::now()).unwrap();
    collector.endpoint.set_server_config(Some(config));
    let (_endpoint, new) = collector.connect(&credentials).await;
    let _ = collector.next_agent().await;
    let chain = new.peer_identity().unwrap();
    let chain = chain.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
    assert_eq!(Facts::read(&chain[0]).unwrap().serial, replaced.serial);
    assert_eq!(old.close_reason(), None);

    // An unusable file leaves the previous one in effect.
    std::fs::write(&files.cert, "damaged").unwrap();
    let text = collector.identity.server_config(UnixTime::now()).unwrap_err().in_full().to_string();
    assert!(text.contains("server.cert"), "{text}");
    let _connected = collector.connect(&credentials).await;
    let _ = collector.next_agent().await;
}

#[test]
fn files_that_do_not_fit_or_can_be_read_by_others_are_named() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let files = pki.server();
    let other = pki.client(&["web-1"]);
    let mixed = TlsFiles { key: other.key.clone(), ..files.clone() };
    let text = identity(&dir, &mixed).unwrap_err().in_full().to_string();
    assert!(text.contains("server.cert") && text.contains("client.key"), "{text}");

    let absent = TlsFiles { ca: "/nowhere/ca.pem".into(), ..files.clone() };
    let text = identity(&dir, &absent).unwrap_err().in_full().to_string();
    assert!(text.contains("/nowhere/ca.pem"), "{text}");

    chmod(&files.key, 0o644);
    let text = identity(&dir, &files).unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("chmod 600 {}", files.key.display())), "{text}");
}

#[tokio::test]
async fn tokens_are_not_for_this() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let collector = Collector::start_on(identity(&dir, &pki.server()).unwrap(), socket);
    let text = collector
        .identity
        .new_token(new_token(None), UnixTime::now())
        .unwrap_err()
        .in_full()
        .to_string();
    assert!(text.contains("tls.ca"), "{text}");
    // A token of another collector.
    let (other, _other_dir) = own_ca();
    let host = tempfile::tempdir().unwrap();
    let enrolled = collector.enroll_with(&other.token(), "web-1", host.path()).await;
    assert!(matches!(enrolled, Err(EnrollError::NotFound(_))));
}

#[tokio::test]
async fn a_revocation_refuses_certificates_that_began_before_it() {
    let (pki, dir) = (OperatorPki::new(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(identity(&dir, &pki.server()).unwrap());
    let credentials = load(&pki.client(&["web-1"]));
    let _connected = collector.connect(&credentials).await;
    let (agent, _) = collector.next_agent().await;
    collector.identity.records().revoke(&agent.client, UnixTime::now()).unwrap();
    let later = Instant::now() + Duration::from_secs(2);
    assert!(collector.identity.is_revoked(&agent, later));
    let mut newer = agent.clone();
    newer.validity.not_before =
        UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + 1));
    assert!(!collector.identity.is_revoked(&newer, later));
}
