//! A collector reduced to its identity, and the tests' view of it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use agent::connection::control::close_reason;
use agent::connection::{Server, connect};
use agent::identity::{Asked, Credentials, EnrollError, Enrolled};
use collector::identity::{
    Cas, ClientRecords, EnrolmentStore, Identity, NewToken, Peer, PeerError, on_handshake_error,
};
use collector::store::sqlite::SqliteStore;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quinn::{Connection, ConnectionError, Endpoint, TokioRuntime};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tempfile::TempDir;
use testbed::in_time;
use tokio::sync::mpsc;
use wire::id::ClientId;
use wire::message::Enroll;
use wire::pem::TlsFiles;
use wire::token::Token;

/// Source address of requests made by tests.
pub const LOCALHOST: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST);

pub const DAY: u64 = 86_400;

pub fn ago(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() - seconds))
}

pub fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

/// The result of a connection at the collector.
#[derive(Debug)]
pub enum Seen {
    Failed(ConnectionError),
    Refused(PeerError),
    Admitted(Peer, Connection),
}

pub struct Collector {
    pub identity: Arc<Identity>,
    pub endpoint: Endpoint,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub address: SocketAddr,
    /// Counts the uses of tokens.
    pub store: Uses,
}

/// A store that counts uses of tokens, in its own directory.
#[derive(Debug, Clone)]
pub struct Uses(
    pub Arc<dyn EnrolmentStore>,
    #[expect(dead_code, reason = "the directory stays as long as the store is open")] Arc<TempDir>,
);

impl Uses {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("netmon.sqlite")).unwrap();
        Self(Arc::new(store), Arc::new(dir))
    }
}

/// Requests a certificate as a host on the loopback does.
pub async fn ask(
    identity: &Arc<Identity>,
    request: &Enroll,
    uses: &Uses,
) -> Result<wire::message::EnrollReply, collector::identity::EnrollError> {
    identity.enroll(request.clone(), Cas::Trusted, LOCALHOST, &uses.0, UnixTime::now()).await
}

impl Collector {
    /// Starts a collector with an identity.
    pub fn start(identity: Identity) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::start_on(identity, socket)
    }

    pub fn start_on(identity: Identity, socket: UdpSocket) -> Self {
        let identity = Arc::new(identity);
        let server = identity.server_config(UnixTime::now()).unwrap();
        let config = identity.endpoint_config();
        let address = socket.local_addr().unwrap();
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(config, Some(server), socket, runtime).unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let store = Uses::new();
        tokio::spawn(accept(endpoint.clone(), identity.clone(), store.clone(), sender));
        Self { identity, endpoint, seen, address, store }
    }

    pub fn server(&self) -> Server {
        Server { host: self.address.ip().to_string(), port: self.address.port() }
    }

    pub fn token(&self) -> Token {
        self.identity.new_token(new_token(None), UnixTime::now()).unwrap()
    }

    /// Enrols `id` in `dir` with a new token.
    pub async fn enroll(&self, id: &str, dir: &Path) -> Credentials {
        self.enroll_with(&self.token(), id, dir).await.unwrap().credentials
    }

    /// Lets the host of `dir` replace the client `id`.
    pub async fn replace(&self, id: &str, dir: &Path) -> Credentials {
        let token = self.identity.new_token(replacing(id), UnixTime::now()).unwrap();
        self.enroll_with(&token, id, dir).await.unwrap().credentials
    }

    pub async fn enroll_with(
        &self,
        token: &Token,
        id: &str,
        dir: &Path,
    ) -> Result<Enrolled, EnrollError> {
        self.enroll_as(token, &Asked::Chosen(client(id)), dir).await
    }

    /// Enrols with a custom request for an id.
    pub async fn enroll_as(
        &self,
        token: &Token,
        asked: &Asked,
        dir: &Path,
    ) -> Result<Enrolled, EnrollError> {
        agent::identity::enroll(token, &[self.server()], asked, dir).await
    }

    /// Connects as an agent does.
    pub async fn connect(&self, credentials: &Credentials) -> (Endpoint, Connection) {
        let server = self.server();
        let name = credentials.server_name(&server.host);
        connect(&server, name, &credentials.client_config()).await.unwrap()
    }

    /// The next connection that the collector saw, except enrolments.
    pub async fn next(&mut self) -> Seen {
        loop {
            match in_time("a connection", self.seen.recv()).await.unwrap() {
                Seen::Admitted(Peer::Enrolling, _) => {}
                seen => return seen,
            }
        }
    }

    /// The next admitted agent.
    pub async fn next_agent(&mut self) -> (collector::identity::Agent, Connection) {
        match self.next().await {
            Seen::Admitted(Peer::Agent(agent), connection) => (agent, connection),
            other => panic!("{other:?}"),
        }
    }
}

async fn accept(
    endpoint: Endpoint,
    identity: Arc<Identity>,
    uses: Uses,
    seen: mpsc::UnboundedSender<Seen>,
) {
    while let Some(incoming) = endpoint.accept().await {
        let (identity, seen, uses) = (identity.clone(), seen.clone(), uses.clone());
        tokio::spawn(async move {
            let address = incoming.remote_address();
            let connection = match incoming.await {
                Ok(connection) => connection,
                Err(error) => {
                    on_handshake_error(address, &error);
                    let _over = seen.send(Seen::Failed(error));
                    return;
                }
            };
            match identity.admit(&connection, Instant::now()) {
                Err(error) => {
                    let _over = seen.send(Seen::Refused(error));
                }
                Ok(peer) => {
                    let _over = seen.send(Seen::Admitted(peer.clone(), connection.clone()));
                    match peer {
                        Peer::Enrolling => {
                            identity.serve_enrollment(connection, uses.0, |_| {}).await;
                        }
                        Peer::Agent(agent) => {
                            while let Ok(stream) = connection.accept_bi().await {
                                let _agent = identity
                                    .serve_request(agent.clone(), &connection, stream, async |_| {
                                        None
                                    })
                                    .await;
                            }
                        }
                    }
                }
            }
        });
    }
}

pub fn new_token(id: Option<&str>) -> NewToken {
    let (life, client) = (Duration::from_secs(3600), id.map(client));
    let (matching, by, addresses) = (None, None, vec![]);
    NewToken { life, client, replace: false, matching, uses: 1, by, addresses }
}

/// A token for a host that replaces a client.
pub fn replacing(id: &str) -> NewToken {
    NewToken { replace: true, ..new_token(Some(id)) }
}

/// A collector with its own CA, and its directory.
pub fn own_ca() -> (Collector, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Collector::start(open(dir.path())), dir)
}

pub fn open(dir: &Path) -> Identity {
    Identity::open(&dir.join("identity"), None, UnixTime::now()).unwrap()
}

/// The client records of an identity's directory.
pub fn records(dir: &Path) -> ClientRecords {
    ClientRecords::at(&dir.join("identity"))
}

/// A request for a certificate, with a new key.
pub fn request(token: &Token, id: &str) -> (Enroll, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let request = Enroll {
        secret: token.secret.0.to_vec(),
        client_id: id.into(),
        chosen: true,
        csr_der: csr.der().to_vec(),
    };
    (request, key)
}

/// The files of an enrolment at another time.
pub async fn enrolled_at(identity: &Arc<Identity>, id: &str, dir: &Path, at: UnixTime) -> TlsFiles {
    let token = identity.new_token(new_token(None), at).unwrap();
    let (request, key) = request(&token, id);
    let uses = Uses::new();
    let reply = identity.enroll(request, Cas::Trusted, LOCALHOST, &uses.0, at).await.unwrap();
    let file = |name: &str| dir.join(name);
    let files =
        TlsFiles { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem"), crl: None };
    std::fs::write(&files.ca, reply.ca_pem).unwrap();
    std::fs::write(&files.cert, reply.certificate_pem).unwrap();
    wire::private_file::write(&files.key, key.serialize_pem().as_bytes()).unwrap();
    files
}

/// A TLS client built by the test, to do what an agent wouldn't.
pub fn tls_client(
    ca: &Path,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: &[u8],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in wire::pem::read_certificates(ca).unwrap() {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls
}

pub fn quic_client(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// The reason of a closed connection, as the agent reports it.
pub async fn closed(connection: &Connection) -> String {
    close_reason(&in_time("the end", connection.closed()).await)
}

fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).unwrap();
        handle
    })
}

/// The value of a counter; all tests of the process add to it.
pub fn counter(series: &str) -> u64 {
    let text = metrics().render();
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

pub fn rejects(reason: &str) -> u64 {
    counter(&format!("netmon_collector_rejects_total{{reason=\"{reason}\"}}"))
}

/// Changes the mode of a file.
pub fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn mode(path: &PathBuf) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
