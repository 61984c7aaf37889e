//! `bench backlog`: an agent runs for a day without a collector, then one appears. Measures how fast
//! the spool drains and how late live data is meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::clocks::wall_ns;
use agent::ship::spool::SpoolLimits;
use anyhow::{Result, ensure};
use serde_json::Value;
use testbed::http::HTTP;
use testbed::{Pair, Running, Site};
use wire::WallNs;

use super::offline::{self, REPORT_NS, SESSION};
use super::space::in_own_namespace;

/// How the backlog is made.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Hours without a collector.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Give up after this many minutes.
    #[arg(long, default_value_t = 15)]
    patience: u64,
}

/// Makes the backlog, starts collector and agent, and prints how it drains.
///
/// # Errors
/// Fails if a program or file is missing, or if reports stay undelivered.
pub fn run(options: &Options) -> Result<()> {
    if !in_own_namespace()? {
        return Ok(());
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let spool = site.dir().join("agent/spool.sqlite");
    let day = Duration::from_secs(86_400);
    let limits = SpoolLimits { max_size: 1 << 30, max_age: 8 * day, keep_committed: day };
    let left = offline::fill(&spool, limits, options.hours)?;
    println!("{} h: {} samples in {} reports", options.hours, left.samples, left.reports);
    let mut command = site.agent(&["run"]);
    command.env("NETMON_AGENT_MONITOR__SAMPLE_INTERVAL", "500ms");
    command.env("NETMON_AGENT_MONITOR__REPORT_INTERVAL", "1s");
    let agent = Running::start(command, &site.dir().join("a.log"));

    let begun = Instant::now();
    let store = site.dir().join("collector/netmon.sqlite");
    let delays = Delays::listen()?;
    while committed(&store) < left.reports {
        ensure!(
            begun.elapsed() < Duration::from_secs(60 * options.patience),
            "{} of {} reports after {} min\n{}",
            committed(&store),
            left.reports,
            options.patience,
            agent.log()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let drained = begun.elapsed();
    agent.stop();
    collector.stop();
    let fsck = site.collector(&["fsck"]).output()?;
    ensure!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    #[allow(clippy::cast_precision_loss, reason = "a rate to be read")]
    let rate = left.samples as f64 / drained.as_secs_f64();
    println!("drained in {:.1} s: {rate:.0} samples/s; fsck agrees", drained.as_secs_f64());
    println!("live meanwhile, from the end of a sample until it is shown: {delays}");
    println!("one report interval is {} ms", REPORT_NS / 1_000_000);
    Ok(())
}

/// How many reports of the day are in the store.
fn committed(store: &Path) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let read = rusqlite::Connection::open_with_flags(store, flags).and_then(|db| {
        let sql = "SELECT committed_seq FROM sessions WHERE session = ?1";
        db.query_row(sql, [SESSION.to_column()], |row| row.get::<_, i64>(0))
    });
    // The store doesn't exist yet or is being written: the next look will succeed.
    read.map_or(0, i64::cast_unsigned)
}

/// Delays from the end of a sample until the collector shows it.
#[derive(Debug, Clone, Default)]
struct Delays(Arc<Mutex<Vec<Duration>>>);

impl Delays {
    /// Starts listening to the live view.
    fn listen() -> Result<Self> {
        let mut stream = TcpStream::connect(HTTP)?;
        write!(stream, "GET /api/v1/live HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let delays = Self::default();
        let seen = delays.0.clone();
        std::thread::spawn(move || {
            let mut newest_ns = WallNs(0);
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let event =
                    line.strip_prefix("data: ").and_then(|it| serde_json::from_str(it).ok());
                let Some(end_ns) = event.as_ref().and_then(sample_end) else { continue };
                if end_ns > newest_ns {
                    newest_ns = end_ns;
                    let delay = Duration::from_nanos(wall_ns().saturating_since(end_ns));
                    seen.lock().expect("nobody panics with it").push(delay);
                }
            }
        });
        Ok(delays)
    }
}

impl std::fmt::Display for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut seen = self.0.lock().expect("nobody panics with it").clone();
        seen.sort_unstable();
        let at = |percent: usize| seen.get((seen.len().max(1) - 1) * percent / 100).copied();
        let ms = |delay: Option<Duration>| delay.map_or(0, |delay| delay.as_millis());
        write!(
            f,
            "median {} ms, 99 % {} ms, longest {} ms ({} reports)",
            ms(at(50)),
            ms(at(99)),
            ms(at(100)),
            seen.len()
        )
    }
}

/// End of the newest sample of the live NIC in an event, nanoseconds since 1970 (UTC).
fn sample_end(event: &Value) -> Option<WallNs> {
    match event {
        Value::Object(fields) if event["nic"] == "here" && event["sample"].is_object() => {
            let sample = &fields["sample"];
            let start: jiff::Timestamp = sample["time"].as_str()?.parse().ok()?;
            let start_ns = WallNs(u64::try_from(start.as_nanosecond()).ok()?);
            Some(start_ns + sample["interval_ns"].as_u64()?)
        }
        Value::Object(fields) => fields.values().filter_map(sample_end).max(),
        Value::Array(items) => items.iter().filter_map(sample_end).max(),
        _ => None,
    }
}
