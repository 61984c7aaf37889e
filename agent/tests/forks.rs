//! A host is set back to an earlier state while its agent runs. Two futures of one session meet in the
//! collector's database, and neither loses anything silently.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod made;

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::connection::{Server, connect};
use agent::identity::Credentials;
use agent::ship::delivery::Delivery;
use rustls::pki_types::UnixTime;
use testbed::{Pair, Site, done, in_namespace, in_time, spool, wait_until};
use wire::frame::Gap;
use wire::message::HostKey;

use self::made::{Made, SESSION};

/// An agent whose complete state continues from a snapshot, and its spool.
struct Future(Made, PathBuf);

impl Future {
    fn begin(spool: &Path) -> Self {
        Self(Made::begin(spool), spool.to_owned())
    }

    fn measure(&mut self, from: u64, to: u64, bytes: u64) {
        self.0.measure(from, to, bytes);
    }

    /// Waits until the spool contains everything up to a second.
    fn wait_until_recorded(&self, second: u64) {
        let last = "SELECT max(last_seq) FROM records";
        let last = || spool::look(&self.1, |db| db.query_row(last, [], |row| row.get::<_, i64>(0)));
        wait_until("the record", || last() == Some(second.cast_signed()));
    }

    /// Connects, and is cut off once `until` holds, as by a revert to a snapshot.
    async fn deliver(&mut self, site: &Site, until: impl Fn() -> bool) {
        tokio::select! {
            () = deliver(&mut self.0.delivery, site) => {}
            () = async {
                while !until() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            } => {}
        }
    }

    /// Ends the run after `seconds` and delivers everything. Only records that exist when two futures
    /// meet are disputed, so it waits for them.
    async fn finish(mut self, site: &Site, seconds: u64) {
        self.0.stop();
        self.wait_until_recorded(seconds);
        in_time("the delivery", deliver(&mut self.0.delivery, site)).await;
        self.0.end();
    }
}

async fn deliver(delivery: &mut Delivery, site: &Site) {
    while !delivery.is_done() {
        let dir = site.dir().join("agent/identity");
        let credentials = Credentials::load(&dir, None, UnixTime::now()).unwrap();
        let server = Server { host: "127.0.0.1".into(), port: 8082 };
        let name = credentials.server_name(&server.host);
        let config = credentials.client_config();
        let connected = delivery.meanwhile(connect(&server, name, &config)).await;
        let (_endpoint, connection) = connected.unwrap();
        if let Err(error) = delivery.over(&connection, HostKey::default(), || {}).await {
            println!("{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Figures from the collector's store.
fn stored<const N: usize>(site: &Site, sql: &str) -> Vec<[i64; N]> {
    let file = site.dir().join("collector/netmon.sqlite");
    let db = rusqlite::Connection::open(file).unwrap();
    let mut select = db.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let mut figures = [0; N];
        for (at, figure) in figures.iter_mut().enumerate() {
            *figure = row.get::<_, Option<i64>>(at)?.unwrap_or(-1);
        }
        Ok(figures)
    };
    select.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn committed(site: &Site) -> i64 {
    let sql =
        format!("SELECT max(committed_seq) FROM sessions WHERE session = {}", SESSION.to_column());
    stored::<1>(site, &sql)[0][0]
}

/// Two futures that share the seconds 1 to 100. The database has the first, which reaches `lost`
/// seconds; the second reaches `kept` seconds and meets it. Returns the site.
fn fork(lost: u64, kept: u64) -> Site {
    let site = Site::new();
    let collector = site.start_collector();
    site.enroll();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let [mut lost_future, mut future] =
            ["lost", "kept"].map(|name| Future::begin(&site.dir().join(name)));
        lost_future.measure(1, 100, 10);
        future.measure(1, 100, 10);
        future.deliver(&site, || committed(&site) == 100).await;
        // Meanwhile the lost future was delivered:
        lost_future.measure(101, lost, 1000);
        lost_future.finish(&site, lost).await;
        wait_until("the lost future", || committed(&site) == i64::try_from(lost).unwrap());
        future.measure(101, kept, 7);
        future.finish(&site, kept).await;
    });
    collector.stop();
    let report = done(site.collector(&["fsck"]).output().unwrap());
    println!("{report}");
    site
}

/// The second future in the store: per session the seconds and bytes of samples, and the numbers, bytes
/// and packets of its gaps.
fn of_second(site: &Site) -> (Vec<[i64; 2]>, Vec<[i64; 4]>) {
    let samples =
        stored(site, "SELECT count(*), sum(rx_bytes) FROM hot_samples WHERE rx_bytes = 7");
    let reason = Gap::Forked as u8;
    let sql = format!(
        "SELECT first_seq, last_seq, rx_bytes, rx_packets FROM gaps WHERE reason = {reason}
         AND session <> {}",
        SESSION.to_column()
    );
    (samples, stored(site, &sql))
}

/// Asserts one gap: `seconds` of the second future, and the shared seconds whose acknowledgement was
/// cut off, 10 bytes each.
fn assert_disputed(gaps: &[[i64; 4]], seconds: i64) {
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let [first, last, bytes, packets] = gaps[0];
    let unheard = last - seconds;
    assert!((0..=100).contains(&unheard), "{gaps:?}");
    assert_eq!((first, bytes, packets), (1, 7 * seconds + 10 * unheard, last), "{gaps:?}");
}

#[test]
fn a_future_that_is_longer_than_the_lost_one_is_stored_but_for_what_is_disputed() {
    if !in_namespace() {
        return;
    }
    let _pair = Pair::new();
    let site = fork(150, 180);
    let (samples, gaps) = of_second(&site);
    assert_eq!(samples, [[30, 210]], "seconds 151 to 180");
    // Seconds 101 to 150, with their exact counts.
    assert_disputed(&gaps, 50);
}

#[test]
fn a_future_that_is_shorter_than_the_lost_one_is_a_gap_with_its_exact_counts() {
    if !in_namespace() {
        return;
    }
    let _pair = Pair::new();
    let site = fork(150, 130);
    let (samples, gaps) = of_second(&site);
    assert_eq!(samples, [[0, -1]]);
    // Seconds 101 to 130.
    assert_disputed(&gaps, 30);
}

#[test]
fn a_future_in_which_nothing_was_measured_yet_begins_with_a_gap_that_says_so() {
    if !in_namespace() {
        return;
    }
    let _pair = Pair::new();
    let site = fork(150, 100);
    let (samples, gaps) = of_second(&site);
    assert_eq!(samples, [[0, -1]]);
    // Without disputed records, a gap of one number marks the fork.
    if gaps != [[1, 1, 0, 0]] {
        assert_disputed(&gaps, 0);
    }
}
