//! A PostgreSQL of our own: one server for all tests of the process, one database for each.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Whom the server runs as if the tests run as root: it refuses root.
const NOBODY: u32 = 65534;

/// The server. It ends, and its directory with it, once the pipe to it is closed: with the tests.
struct Cluster {
    directory: PathBuf,
    _server: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// Makes a new, empty database and gives its URL.
pub async fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let directory = tokio::task::block_in_place(|| &CLUSTER.get_or_init(start).directory);
    let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&url(directory, "postgres"), &format!("CREATE DATABASE {name}")).await;
    url(directory, &name)
}

/// Where a server listens on a Unix socket in `directory`.
pub fn url(directory: &Path, name: &str) -> String {
    format!("host={} user=postgres dbname={name}", directory.display())
}

/// The directory of the server's socket.
pub fn socket() -> PathBuf {
    CLUSTER.get().unwrap().directory.join(".s.PGSQL.5432")
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
    let root = std::fs::metadata("/proc/self").is_ok_and(|it| {
        use std::os::unix::fs::MetadataExt;
        it.uid() == 0
    });
    if root {
        std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let script = "
        set -e; cd \"$2\"
        \"$1/initdb\" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1
        \"$1/postgres\" -D data -k \"$2\" -c listen_addresses= -c fsync=off -c max_connections=300 \
            -c unix_socket_permissions=0777 >server.log 2>&1 </dev/null &
        cat >/dev/null; kill -INT $!; wait || true; cd /; rm -rf \"$2\"";
    let mut command = if root {
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        command.args(user).args(["--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", script, "sh"]).arg(programs()).arg(&directory).stdin(Stdio::piped());
    let server = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::os::unix::net::UnixStream::connect(directory.join(".s.PGSQL.5432")).is_err()
        || !std::fs::read_to_string(directory.join("server.log"))
            .is_ok_and(|log| log.contains("ready to accept connections"))
    {
        let log = std::fs::read_to_string(directory.join("initdb.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "PostgreSQL doesn't start: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Cluster { directory, _server: server }
}

/// Where the newest PostgreSQL has its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).max_by_key(number);
    newest.expect("PostgreSQL in /usr/lib/postgresql: apt-get install postgresql").join("bin")
}
