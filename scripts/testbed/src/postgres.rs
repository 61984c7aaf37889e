//! A temporary PostgreSQL server, on a socket in a temporary directory and on loopback with TLS. If
//! tests are to use Citus, a coordinator and its workers.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustls_pki_types::CertificateDer;

use crate::citus::{self, WORKERS};
use crate::patience::{PATIENCE, wait_for, wait_until};
use crate::process::done;
use crate::shell::sh;

/// The user that runs the server if this process is root: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// Starts and stops the server as told by the lines of its input, until the input ends.
const SCRIPT: &str = r#"
set -e; cd "$2"; programs=$1 directory=$2 port=$3; shift 3
"$programs/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1
while read -r order; do
  case $order in
  start)
    "$programs/postgres" -D data -k "$directory" -p "$port" -c listen_addresses=127.0.0.1 \
      -c ssl=on -c ssl_cert_file="$directory/server.crt" -c ssl_key_file="$directory/server.key" \
      -c fsync=off -c max_connections=300 "$@" >>server.log 2>&1 </dev/null & ;;
  *) kill "-$order" $!; wait $! || true; echo ended >>orders.log ;;
  esac
done
# A server that has just begun ignores SIGINT, as jobs of a shell do.
kill -TERM $! 2>/dev/null || true; kill -INT $! 2>/dev/null || true
wait || true; cd /; rm -rf "$directory"
"#;

/// The TLS identity of the server, over TCP.
#[derive(Debug)]
pub struct Tls {
    /// TCP port, and the number of the socket.
    pub port: u16,
    /// Its certificate, for `localhost`.
    pub certificate: CertificateDer<'static>,
}

/// The server. It ends, and its directory is removed, once the pipe to it is closed: at the latest with
/// this process.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    tls: Tls,
    orders: Mutex<Option<ChildStdin>>,
    keeper: Child,
    workers: Vec<Self>,
}

impl Cluster {
    /// Makes a server and waits until it takes connections. Makes workers too if [`citus::CITUS`] is
    /// set.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings, as `name=value`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        citus::programs().map_or_else(
            || Self::start_node(&programs(), settings),
            |programs| Self::start_citus(&programs, settings),
        )
    }

    /// Makes a server without Citus.
    #[must_use]
    pub fn start_plain() -> Self {
        Self::start_node(&programs(), &[])
    }

    /// Makes a Citus coordinator and its workers from an installation that has Citus.
    #[must_use]
    pub fn start_citus(programs: &Path, settings: &[&str]) -> Self {
        let settings = [&citus::SETTINGS, settings].concat();
        let mut coordinator = Self::start_node(programs, &settings);
        let worker = |_| Self::start_node(programs, &settings);
        coordinator.workers = (0..WORKERS).map(worker).collect();
        coordinator
    }

    fn start_node(programs: &Path, settings: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("netmon-pg-").tempdir().unwrap().keep();
        // The port was free a moment ago, and nothing else here asks for a port by number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let certificate = make_certificate(&directory);
        let mut keeper = unprivileged(&directory);
        keeper.args(["-c", SCRIPT, "sh"]).arg(programs).arg(&directory).arg(port.to_string());
        keeper.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let mut keeper = keeper.stdin(Stdio::piped()).spawn().unwrap();
        let orders = Mutex::new(keeper.stdin.take());
        let (programs, tls) = (programs.to_owned(), Tls { port, certificate });
        let cluster = Self { programs, directory, tls, orders, keeper, workers: vec![] };
        cluster.start_again();
        cluster
    }

    /// URL of a database over the socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_in(&self.directory, database)
    }

    /// URL of a database if the server's socket, or one that stands in for it, is in `directory`.
    #[must_use]
    pub fn url_in(&self, directory: &Path, database: &str) -> String {
        let (directory, port) = (directory.display(), self.tls.port);
        format!("host={directory} port={port} user=postgres dbname={database}")
    }

    /// Makes an empty database with a unique name and returns its URL.
    #[must_use]
    pub fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let _made = self.psql("postgres", &format!("CREATE DATABASE {name}"));
        let ports: Vec<u16> = self.workers.iter().map(|worker| worker.tls.port).collect();
        if !ports.is_empty() {
            self.join_nodes(&name, &ports);
        }
        self.url(&name)
    }

    /// Turns a database of the coordinator into one of all nodes. The workers are reached on these
    /// ports of this host, which may be those of proxies.
    pub fn join_nodes(&self, name: &str, ports: &[u16]) {
        for worker in &self.workers {
            let _made = worker.psql("postgres", &format!("CREATE DATABASE {name}"));
        }
        for node in self.workers.iter().chain([self]) {
            let _made = node.psql(name, "CREATE EXTENSION citus");
        }
        let _alone = citus::JOINING.lock().unwrap_or_else(PoisonError::into_inner);
        let _joined = self.psql(name, &citus::join(self.tls.port, ports));
    }

    /// The nodes that hold the rows of distributed tables; none without Citus.
    #[must_use]
    pub fn workers(&self) -> &[Self] {
        &self.workers
    }

    /// Runs SQL with psql and returns the rows, unaligned.
    #[must_use]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.psql_with(database, &["-c", sql])
    }

    /// Runs a file of SQL and psql commands.
    #[must_use]
    pub fn psql_file(&self, database: &str, file: &Path) -> String {
        self.psql_with(database, &["-f", &file.display().to_string()])
    }

    fn psql_with(&self, database: &str, what: &[&str]) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(what);
        done(psql.arg(self.url(database)).output().unwrap())
    }

    /// The main process of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let pid = self.read("data/postmaster.pid");
        pid.lines().next().and_then(|pid| pid.trim().parse().ok()).unwrap_or(0)
    }

    /// The server's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!(".s.PGSQL.{}", self.tls.port))
    }

    /// Directory and number of the server's socket.
    #[must_use]
    pub fn address(&self) -> (&Path, u16) {
        (&self.directory, self.tls.port)
    }

    /// The TLS identity of the server.
    #[must_use]
    pub const fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Path of the server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// The logs of initdb and of the server.
    #[must_use]
    pub fn log(&self) -> String {
        self.read("initdb.log") + &self.read("server.log")
    }

    /// Starts a stopped server and waits until it takes connections.
    pub fn start_again(&self) {
        let ready = |log: &str| log.matches("ready to accept connections").count();
        let before = ready(&self.read("server.log"));
        self.order("start");
        // Making its files takes a minute on a busy machine.
        wait_for("PostgreSQL's start", 5 * PATIENCE, || {
            let log = self.read("server.log");
            assert!(!log.contains("FATAL:  could not"), "PostgreSQL doesn't start: {log}");
            ready(&log) > before
        });
    }

    /// Stops the server with a signal (`INT`: fast, `QUIT`: without a checkpoint, as in a crash) and
    /// waits until it has ended.
    pub fn stop(&self, signal: &str) {
        let ended = self.read("orders.log").lines().count();
        self.order(signal);
        wait_until("PostgreSQL's end", || self.read("orders.log").lines().count() > ended);
    }

    /// Sends a signal (`STOP`, `CONT`) to the server and all its processes.
    pub fn signal_all(&self, signal: &str) {
        let pid = self.pid();
        let _none = sh(&format!("kill -{signal} {pid} $(pgrep -P {pid}) 2>/dev/null || true"));
    }

    fn order(&self, order: &str) {
        let mut orders = self.orders.lock().unwrap();
        writeln!(orders.as_mut().unwrap(), "{order}").unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal_all("CONT");
        *self.orders.lock().unwrap() = None;
        let _reaped = self.keeper.wait();
    }
}

fn make_certificate(directory: &Path) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = names.self_signed(&key).unwrap();
    std::fs::write(directory.join("server.crt"), certificate.pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(directory.join("server.key"), private).unwrap();
    certificate.der().clone()
}

/// A shell as a user that PostgreSQL accepts and that owns everything in `directory`.
pub(crate) fn unprivileged(directory: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new("sh");
    }
    // The root of a user namespace with no other users needs one more namespace to become another user.
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let knows_all = users.split_whitespace().nth(2) == Some("4294967295");
    if knows_all {
        let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        for path in files.chain([directory.to_owned()]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let args = if knows_all {
        vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"]
    } else {
        vec!["unshare", "--map-user=65534", "--map-group=65534", "sh"]
    };
    let mut command = Command::new(args[0]);
    command.args(&args[1..]);
    command
}

/// The programs' directory of the newest PostgreSQL.
#[must_use]
pub fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).max_by_key(number);
    newest.expect("PostgreSQL in /usr/lib/postgresql: apt-get install postgresql").join("bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_survives_a_crash_and_a_pause() {
        let cluster = Cluster::start();
        let url = cluster.new_database();
        let name = url.rsplit('=').next().unwrap();
        let _made = cluster.psql(name, "CREATE TABLE t AS SELECT 7 AS n");
        cluster.stop("QUIT");
        cluster.start_again();
        cluster.signal_all("STOP");
        cluster.signal_all("CONT");
        assert_eq!(cluster.psql(name, "SELECT n FROM t").trim(), "7");
    }
}
