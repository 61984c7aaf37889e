//! A PostgreSQL of our own: one server for all tests of the process, one database for each.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

/// Whom the server runs as if the tests run as root: it refuses root.
const NOBODY: u32 = 65534;

/// What the server proves itself by, over TCP.
pub struct Tls {
    pub port: u16,
    pub certificate: CertificateDer<'static>,
}

/// The server. It ends, and its directory with it, once the pipe to it is closed: with the tests.
struct Cluster {
    directory: PathBuf,
    tls: Tls,
    _server: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// Makes a new, empty database and gives its URL.
pub async fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let directory = &cluster().directory;
    let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&url(directory, "postgres"), &format!("CREATE DATABASE {name}")).await;
    url(directory, &name)
}

/// Where a server listens on a Unix socket in `directory`.
pub fn url(directory: &Path, name: &str) -> String {
    format!("host={} port={} user=postgres dbname={name}", directory.display(), cluster().tls.port)
}

/// The server's socket.
pub fn socket() -> PathBuf {
    let Cluster { directory, tls, .. } = cluster();
    directory.join(format!(".s.PGSQL.{}", tls.port))
}

/// How the server is reached by TLS, as `localhost`.
pub fn tls() -> &'static Tls {
    &cluster().tls
}

fn cluster() -> &'static Cluster {
    tokio::task::block_in_place(|| CLUSTER.get_or_init(start))
}

pub async fn execute(url: &str, sql: &str) {
    client(url).await.batch_execute(sql).await.unwrap();
}

pub async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn start() -> Cluster {
    let directory = tempfile::Builder::new().prefix("netmon-pg-").tempdir().unwrap().keep();
    let root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    // Free a moment ago, and nothing else here asks for one by number.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = names.self_signed(&key).unwrap();
    std::fs::write(directory.join("server.crt"), certificate.pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(directory.join("server.key"), private).unwrap();
    if root {
        for path in [&directory, &directory.join("server.crt"), &directory.join("server.key")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let script = "
        set -e; cd \"$2\"
        \"$1/initdb\" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1
        \"$1/postgres\" -D data -k \"$2\" -p \"$3\" -c listen_addresses=127.0.0.1 \
            -c ssl=on -c ssl_cert_file=\"$2/server.crt\" -c ssl_key_file=\"$2/server.key\" \
            -c fsync=off -c max_connections=300 >server.log 2>&1 </dev/null &
        cat >/dev/null; kill -INT $!; wait || true; cd /; rm -rf \"$2\"";
    let mut command = if root {
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        command.args(user).args(["--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", script, "sh"]).arg(programs()).arg(&directory);
    command.arg(port.to_string()).stdin(Stdio::piped());
    let server = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let log = |name| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    while !log("server.log").contains("ready to accept connections") {
        let logs = || log("initdb.log") + &log("server.log");
        assert!(Instant::now() < deadline, "PostgreSQL doesn't start: {}", logs());
        std::thread::sleep(Duration::from_millis(20));
    }
    let tls = Tls { port, certificate: certificate.der().clone() };
    Cluster { directory, tls, _server: server }
}

/// Where the newest PostgreSQL has its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).max_by_key(number);
    newest.expect("PostgreSQL in /usr/lib/postgresql: apt-get install postgresql").join("bin")
}
