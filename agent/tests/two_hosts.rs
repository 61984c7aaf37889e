//! Two hosts with one certificate: which one continues, which one is refused, and what both ends
//! report.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use agent::connection::{Server, connect, control};
use agent::identity::Credentials;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::UnixTime;
use testbed::http::{HTTP, is_ready};
use testbed::{
    Cluster, PATIENCE, Pair, Running, SLACK, Site, done, get, in_namespace, in_time, metric,
    quick_once, sh, wait_until,
};
use tokio::runtime::Runtime;
use wire::id::SessionId;
use wire::message::{Claim, Hello, HostKey, Message, Session};

/// A connected agent built by the test.
struct Host {
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Host {
    /// Connects with the certificate of the site's agent.
    async fn connect(site: &Site) -> Self {
        Self::connect_to(site, 8082).await
    }

    /// Connects to the collector on a port.
    async fn connect_to(site: &Site, port: u16) -> Self {
        let dir = site.dir().join("agent/identity");
        let credentials = Credentials::load(&dir, None, UnixTime::now()).unwrap();
        let server = Server { host: "127.0.0.1".into(), port };
        let name = credentials.server_name(&server.host);
        let connected = connect(&server, name, &credentials.client_config()).await;
        let (endpoint, connection) = connected.unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        Self { _endpoint: endpoint, connection, send, receive }
    }

    /// Sends Claim and Hello, and returns the collector's answer.
    async fn introduce(&mut self, claim: Option<Claim>, session: u64) -> Message {
        let hello = Hello {
            sessions: vec![Session { session: SessionId::new(session), started_ns: 1 }],
            ..Hello::default()
        };
        let said = claim.map(Message::Claim).into_iter().chain([Message::Hello(hello)]);
        for message in said {
            control::write(&mut self.send, &self.connection, &message).await.unwrap();
        }
        let answer = control::read(&mut self.receive, &self.connection).await.unwrap();
        match answer {
            // Only agents that sent a claim receive digests.
            Message::Digests(_) if claim.is_some() => {
                control::read(&mut self.receive, &self.connection).await.unwrap()
            }
            answer => answer,
        }
    }

    async fn leave(self) {
        self.connection.close(0u32.into(), b"finished");
        self._endpoint.wait_idle().await;
    }
}

const fn claim(machine: u8, boot: u8, session: u64) -> Claim {
    Claim {
        host: HostKey { machine: [machine; 16], boot: [boot; 16] },
        session: SessionId::new(session),
    }
}

fn refusals() -> f64 {
    refusals_at(HTTP)
}

fn refusals_at(http: &str) -> f64 {
    metric(http, r#"netmon_collector_rejects_total{reason="second_host"}"#)
}

/// Port of the second collector of a database.
const SECOND: u16 = 9082;
const SECOND_HTTP: &str = "127.0.0.1:9083";

/// Starts the collector of the site, enrols its agent, and starts another collector with the same
/// database and CA.
fn two_collectors(site: &Site) -> [Running; 2] {
    let first = site.start_collector();
    site.enroll();
    let identity = site.identity();
    let copy = site.dir().join("second");
    sh(&format!("mkdir -m 700 {0} && cp -a {1} {0}", copy.display(), identity.display()));
    let mut second = site.collector_in("second", &["run"]);
    second.env("NETMON_COLLECTOR_SERVER__PORT", SECOND.to_string());
    second.env("NETMON_COLLECTOR_HTTP__PORT", "9083");
    let second = Running::start(second, &site.dir().join("second.log"));
    wait_until("the second collector", || is_ready(SECOND_HTTP));
    [first, second]
}

/// Number of unanswered questions.
const WAITS: &str = "SELECT count(*) FROM claims WHERE question > answered";

/// Runs a statement in the database of a URL.
fn psql(cluster: &Cluster, database: &str, sql: &str) -> String {
    let (_, name) = database.split_once("dbname=").unwrap();
    cluster.psql(name, sql).trim().to_owned()
}

/// A host that is asked answers so soon, on a busy machine too.
const ASKED: Duration = Duration::from_secs(3).saturating_add(SLACK);

/// Less than the second for which a host is asked whether it is alive. A machine that others keep busy
/// may need longer for a handshake now and then: of several tries one must be as quick.
const AT_ONCE: Duration = Duration::from_millis(900);

/// What comes sooner than by QUIC's idle timeout of 30 s, on a busy machine too.
async fn sooner_than_idle<T>(future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(8) + SLACK, future).await;
    ended.expect("sooner than by QUIC's idle timeout")
}

async fn welcome(host: &mut Host, claim: Claim) {
    let answer = sooner_than_idle(host.introduce(Some(claim), claim.session.get())).await;
    assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn refusal(answer: Message) -> String {
    match answer {
        Message::Refused(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_host_that_is_connected_goes_on_and_another_is_refused_until_it_is_gone() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        for (number, (second, what)) in (1..).zip([
            (Some(claim(2, 2, 20)), "this is another machine"),
            (Some(claim(1, 2, 21)), "a copy of that machine, with the same machine-id"),
            (Some(claim(1, 1, 22)), "a second agent on the same machine"),
            (Some(claim(0, 0, 23)), "one of the two has no machine-id"),
            // An older agent, which sends no claim.
            (None, "one of the two has no machine-id"),
        ]) {
            let mut first = Host::connect(&site).await;
            let answer = first.introduce(Some(claim(1, 1, number)), number).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            let session = second.map_or(24, |it| it.session.get());
            let asked = Instant::now();
            let mut host = Host::connect(&site).await;
            let reason = refusal(host.introduce(second, session).await);
            assert!(asked.elapsed() < ASKED, "the collector asks instead of waiting");
            assert!(reason.contains("client host-1 is connected from 127.0.0.1 "), "{reason}");
            assert!(reason.contains(what), "{reason}");
            assert!(reason.contains("collector token --client host-1 --replace"), "{reason}");
            let counted = f64::from(u32::try_from(number).unwrap());
            wait_until("the count", || refusals() >= counted);
            wait_until("the collector's log", || collector.log().contains(what));
            let listed = done(site.collector(&["clients"]).output().unwrap());
            assert!(listed.contains("host-1: two hosts have its certificate"), "{listed}");
            assert!(listed.contains(what), "{listed}");
            assert!(first.connection.close_reason().is_none(), "the first stays connected");
            first.leave().await;
            // Leaving, the first frees its place for the second.
            let mut host = Host::connect(&site).await;
            let answer = host.introduce(second, session).await;
            assert!(matches!(answer, Message::Welcome(_)), "{what}: {answer:?}");
            host.leave().await;
        }
    });
    collector.stop();
}

#[test]
fn a_host_that_answers_no_more_gives_way_to_its_restart_reboot_and_successor() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    for (number, next) in (1..).zip([
        Some(claim(1, 1, 20)),
        Some(claim(1, 2, 21)),
        Some(claim(2, 2, 22)),
        // A container without machine-id.
        Some(claim(0, 1, 23)),
        None,
    ]) {
        // Killed: the connection is not closed.
        let killed = self::runtime();
        let first = killed.block_on(async {
            let mut first = Host::connect(&site).await;
            let answer = first.introduce(Some(claim(1, 1, number)), number).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            first
        });
        killed.shutdown_background();
        runtime.block_on(async {
            let mut host = Host::connect(&site).await;
            let session = next.map_or(24, |it| it.session.get());
            let answer = sooner_than_idle(host.introduce(next, session)).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            host.leave().await;
        });
        drop(first);
    }
    assert!(refusals() < 1.0);
    collector.stop();
}

#[test]
fn the_same_run_over_a_new_connection_goes_on_at_once() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        for claim in [Some(claim(1, 1, 7)), None] {
            quick_once("a new connection that goes on at once", async || {
                let mut before = Host::connect(&site).await;
                before.introduce(claim, 7).await;
                let asked = Instant::now();
                let mut after = Host::connect(&site).await;
                let answer = after.introduce(claim, 7).await;
                let took = asked.elapsed();
                assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
                after.leave().await;
                before.leave().await;
                took < AT_ONCE
            })
            .await;
        }
    });
    collector.stop();
}

#[test]
fn of_an_agent_and_its_copy_one_delivers_and_the_other_says_what_to_do() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let (from, to) = (site.dir().join("agent"), site.dir().join("copy"));
    sh(&format!("cp -a {} {}", from.display(), to.display()));
    let first = site.start_agent();
    wait_until("the first", || first.log().contains("\"connected\""));
    let copy = site.agent_in("copy", "host-1", &["run"]);
    let copy = Running::start(copy, &site.dir().join("copy.log"));
    wait_until("the refusal", || copy.log().contains("is connected from 127.0.0.1 "));
    assert!(copy.log().contains("a second agent on the same machine"), "{}", copy.log());
    assert!(refusals() > 0.0);
    wait_until("the collector's log", || collector.log().contains("a second agent"));
    let times = |log: &str| log.matches("is connected from").count();
    wait_until("more tries", || refusals() > 3.0);
    assert_eq!((times(&copy.log()), times(&collector.log())), (1, 1), "logged once");
    assert!(!first.log().contains("not connected"), "{}", first.log());
    // Only the service's own state shows this.
    for (folder, finding) in [("agent", "ok    delivery"), ("copy", "fail  delivery")] {
        let examined = site.agent_in(folder, "host-1", &["doctor"]).output().unwrap();
        let report = String::from_utf8(examined.stdout).unwrap();
        let line = report.lines().find(|line| line.starts_with(finding));
        let refused = line.unwrap_or_else(|| panic!("{folder}: {report}")).contains("is connected");
        assert_eq!(refused, folder == "copy", "{report}");
    }
    first.stop();
    // Its place is free.
    wait_until("the copy's turn", || copy.log().contains("\"connected\""));
    copy.stop();
    collector.stop();
}

#[test]
fn a_client_id_that_was_changed_after_the_enrolment_is_reported() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let said = "client.id is host-9, but this host's certificate is for host-1";
    let changed = |args: &[&str]| site.agent_in("agent", "host-9", args);
    let checked = changed(&["check-config"]).output().unwrap();
    assert!(String::from_utf8_lossy(&checked.stderr).contains(said), "{checked:?}");
    let examined = changed(&["doctor"]).output().unwrap();
    let examined = String::from_utf8_lossy(&examined.stdout);
    assert!(examined.contains(said), "{examined}");
    let agent = Running::start(changed(&["run"]), &site.dir().join("a.log"));
    wait_until("the agent's log", || agent.log().contains(said));
    wait_until("the connection", || agent.log().contains("\"connected\""));
    agent.stop();
    collector.stop();
}

#[test]
fn second_hosts_that_alternate_are_told_of_once_each() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        let mut first = Host::connect(&site).await;
        let answer = first.introduce(Some(claim(1, 1, 1)), 1).await;
        assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
        for _ in 0..3 {
            for machine in [2, 3] {
                let mut host = Host::connect(&site).await;
                let _reason = refusal(host.introduce(Some(claim(machine, 1, 2)), 2).await);
            }
        }
        wait_until("the count", || refusals() >= 6.0);
        wait_until("both", || collector.log().matches("closed a connection").count() >= 2);
        assert_eq!(collector.log().matches("closed a connection").count(), 2);
        let listed = done(site.collector(&["clients"]).output().unwrap());
        assert!(listed.contains("host-1: two hosts have its certificate since 20"), "{listed}");
        // No try for a long time: the second host is gone.
        let db = rusqlite::Connection::open(site.dir().join("collector/netmon.sqlite")).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        let ago = "UPDATE second_hosts SET since = since - 7200000000000,
                       told_at = told_at - 3600000000000";
        assert_eq!(db.execute(ago, []).unwrap(), 1);
        let listed = done(site.collector(&["clients"]).output().unwrap());
        assert!(!listed.contains("two hosts"), "{listed}");
        first.leave().await;
    });
    collector.stop();
}

#[test]
fn a_second_host_at_another_collector_of_the_database_is_refused_as_at_the_same_one() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let (_pair, site) = (Pair::new(), Site::with_database(&cluster.new_database()));
    let [collector, second] = two_collectors(&site);
    runtime().block_on(async {
        let mut first = Host::connect(&site).await;
        welcome(&mut first, claim(1, 1, 1)).await;
        for (number, (claim, what)) in (1..).zip([
            (Some(claim(2, 2, 2)), "this is another machine"),
            (Some(claim(1, 2, 3)), "a copy of that machine, with the same machine-id"),
            (Some(claim(1, 1, 4)), "a second agent on the same machine"),
            // An older agent, which sends no claim.
            (None, "one of the two has no machine-id"),
        ]) {
            let asked = Instant::now();
            let mut host = Host::connect_to(&site, SECOND).await;
            let reason = refusal(host.introduce(claim, 5).await);
            assert!(asked.elapsed() < ASKED, "the collector asks instead of waiting");
            assert!(reason.contains("client host-1 is connected from 127.0.0.1 "), "{reason}");
            assert!(reason.contains(what), "{reason}");
            let counted = f64::from(number);
            wait_until("the count", || refusals_at(SECOND_HTTP) >= counted);
            wait_until("the second collector's log", || second.log().contains(what));
        }
        // Reported wherever people look, whichever collector refused it.
        let listed = done(site.collector(&["clients"]).output().unwrap());
        assert!(listed.contains("host-1: two hosts have its certificate since 20"), "{listed}");
        for http in [HTTP, SECOND_HTTP] {
            let told = || get(http, "/api/v1/clients").unwrap_or_default();
            wait_until("the second host", || told().contains(r#""refused":"127.0.0.1""#));
        }
        assert!(first.connection.close_reason().is_none(), "the first stays connected");
        assert!(refusals() < 1.0);
        // It leaves and frees its place.
        first.leave().await;
        let mut host = Host::connect_to(&site, SECOND).await;
        welcome(&mut host, claim(2, 2, 2)).await;
        host.leave().await;
    });
    second.stop();
    collector.stop();
}

#[test]
fn a_host_that_goes_to_another_collector_of_the_database_is_never_refused() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let database = cluster.new_database();
    let (_pair, site) = (Pair::new(), Site::with_database(&database));
    let claims = |sql: &str| psql(&cluster, &database, sql);
    let [collector, second] = two_collectors(&site);
    let killed = runtime();
    let mut host = killed.block_on(async {
        let mut before = Host::connect(&site).await;
        welcome(&mut before, claim(1, 1, 1)).await;
        // The same run comes over a fallback while its old connection is still open.
        let mut left = Vec::new();
        quick_once("the same run goes on at once", async || {
            let asked = Instant::now();
            let mut host = Host::connect_to(&site, SECOND).await;
            welcome(&mut host, claim(1, 1, 1)).await;
            let took = asked.elapsed();
            in_time("the end of the old connection", before.connection.closed()).await;
            left.push(host);
            if took >= AT_ONCE {
                before = Host::connect(&site).await;
                welcome(&mut before, claim(1, 1, 1)).await;
            }
            took < AT_ONCE
        })
        .await;
        left.pop().unwrap()
    });
    // Killed, and restarted at the other collector: the old connection is not closed.
    killed.shutdown_background();
    let runtime = runtime();
    runtime.block_on(async {
        host = Host::connect(&site).await;
        welcome(&mut host, claim(1, 1, 2)).await;
    });
    // The collector is killed. The host continues at the other collector; its successor follows once
    // the host itself has had time to return.
    collector.kill();
    runtime.block_on(async {
        let mut host = Host::connect_to(&site, SECOND).await;
        let successor = tokio::spawn(async move {
            welcome(&mut host, claim(2, 2, 3)).await;
            host
        });
        wait_until("the question", || claims(WAITS) == "1");
        claims("UPDATE claims SET asked_since = asked_since - interval '35 seconds'");
        successor.await.unwrap().leave().await;
    });
    assert!(refusals_at(SECOND_HTTP) < 1.0);
    second.stop();
}

#[test]
fn a_host_that_falls_back_is_let_in_before_a_second_one_that_waits() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let database = cluster.new_database();
    let (_pair, site) = (Pair::new(), Site::with_database(&database));
    let claims = |sql: &str| psql(&cluster, &database, sql);
    let [collector, second] = two_collectors(&site);
    runtime().block_on(async {
        let mut first = Host::connect(&site).await;
        welcome(&mut first, claim(1, 1, 1)).await;
        // The database lost the claim, but the host still isn't connected elsewhere.
        claims("DELETE FROM claims");
        wait_until("the claim", || claims("SELECT count(*) FROM claims") == "1");
        assert!(first.connection.close_reason().is_none(), "the host stays connected");
        collector.kill();
        let mut copy = Host::connect_to(&site, SECOND).await;
        let refused = tokio::spawn(async move { copy.introduce(Some(claim(2, 2, 2)), 2).await });
        wait_until("the question", || claims(WAITS) == "1");
        let asked = Instant::now();
        let mut host = Host::connect_to(&site, SECOND).await;
        welcome(&mut host, claim(1, 1, 1)).await;
        // Others wait for half a minute after a collector is gone.
        assert!(asked.elapsed() < SLACK, "{:?}", asked.elapsed());
        let reason = refusal(refused.await.unwrap());
        assert!(reason.contains("this is another machine"), "{reason}");
        assert!(host.connection.close_reason().is_none(), "the host stays connected");
        host.leave().await;
    });
    second.stop();
}
