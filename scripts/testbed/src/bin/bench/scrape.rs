//! `bench scrape`: the cost of `/metrics` on a collector with many clients, and of frames that arrive
//! meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use collector::live::Live;
use collector::metrics::Metrics;
use collector::time::now_ns;
use wire::Seq;
use wire::frame::Frame;
use wire::id::{ClientId, SessionId};
use wire::message::Host;

use super::swarm::traffic::Nic;
use super::table::{met, quantile, quantiles};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients
    #[arg(long, default_value_t = 10_000)]
    clients: u32,
    /// NICs of each
    #[arg(long, default_value_t = 2)]
    nics: u32,
    /// Seconds without scrapes, and as many with them
    #[arg(long, default_value_t = 8)]
    seconds: u32,
}

/// Samples of one NIC in a frame, and their length.
const INTERVALS: u64 = 2;
const INTERVAL_NS: u64 = 500_000_000;

/// One client.
struct Client {
    id: ClientId,
    session: SessionId,
    seq: Seq,
    nics: Vec<Nic>,
}

impl Client {
    fn frame(&mut self) -> Frame {
        self.seq += 1;
        let now = now_ns();
        let starts = (1..=INTERVALS).rev().map(|back| now - back * INTERVAL_NS);
        let samples = starts.flat_map(|start| {
            let of = |nic: &mut Nic| nic.sample(start, INTERVAL_NS);
            self.nics.iter_mut().map(of).collect::<Vec<_>>()
        });
        let samples = samples.collect();
        let (first_seq, last_seq) = (self.seq, self.seq);
        Frame {
            session: self.session,
            first_seq,
            last_seq,
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    }
}

/// Fills a live table and renders it while frames arrive, one report per client and second.
///
/// # Errors
/// Those of the metrics.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let (_recorder, metrics) = Metrics::with_recorder()?;
    let live = Live::new();
    let mut clients = Vec::new();
    for number in 0..options.clients {
        let id = ClientId::new(&format!("host-{number}"))?;
        live.on_connected(&id, "", &Host::default(), now_ns());
        let session = u64::from(number) + 1;
        let nics = (0..options.nics).map(|nic| Nic::new(nic, session)).collect();
        let mut client = Client { id, session: SessionId::new(session), seq: Seq(0), nics };
        let frame = client.frame();
        live.observe(&client.id, &frame, now_ns());
        clients.push(client);
    }
    let text = metrics.render(&live, now_ns());
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    println!(
        "{} clients x {} NICs: {series} series, {:.1} MB",
        options.clients,
        options.nics,
        f64::from(u32::try_from(text.len())?) / 1e6
    );

    // Alternate every second, so that both suffer the same from other work on this machine.
    let (mut without, mut with, mut renders) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.seconds {
        without.extend(feed(&live, &mut clients));
        let (latencies, times) = while_rendering(&metrics, &live, || feed(&live, &mut clients));
        with.extend(latencies);
        renders.extend(times);
    }
    println!("one scrape after the other, ms: {}", quantiles(renders));
    println!("a frame into the table, us, without scrapes: {}", quantiles(without.clone()));
    println!("a frame into the table, us, during scrapes:  {}", quantiles(with.clone()));
    let mean = |values: &[f64]| {
        values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap_or(1))
    };
    let median = quantile(&mut with.clone(), 50) / quantile(&mut without.clone(), 50);
    for (name, ratio) in [("median", median), ("mean", mean(&with) / mean(&without))] {
        println!("{name} with / without: {ratio:.2}, target at most 1.5: {}", met(ratio <= 1.5));
    }
    Ok(())
}

/// One report of each client within a second. Returns the microseconds of each.
fn feed(live: &Live, clients: &mut [Client]) -> Vec<f64> {
    let start = Instant::now();
    let step = Duration::from_secs(1) / u32::try_from(clients.len()).unwrap_or(1).max(1);
    let mut latencies = Vec::with_capacity(clients.len());
    for (turn, client) in (0u32..).zip(clients) {
        let wait = (step * turn).saturating_sub(start.elapsed());
        // In small groups, as from a socket.
        if wait > Duration::from_millis(1) {
            std::thread::sleep(wait);
        }
        let frame = client.frame();
        let begun = Instant::now();
        live.observe(&client.id, &frame, now_ns());
        latencies.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    latencies
}

/// Renders over and over while `work` runs. Returns the milliseconds of each rendering.
fn while_rendering<T>(metrics: &Metrics, live: &Live, work: impl FnOnce() -> T) -> (T, Vec<f64>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let renderer = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let text = metrics.render(live, now_ns());
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                drop(text);
            }
            times
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, renderer.join().unwrap_or_default())
    })
}
