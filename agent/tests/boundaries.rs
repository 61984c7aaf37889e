//! Intervals and microbursts of real traffic, against the sender's clock and tcpdump's timestamps.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watched;

use std::net::UdpSocket;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use agent::clocks::wall_ns;
use testbed::{PATIENCE, Pair, in_namespace, sh, wait_until};
use watched::{assert_mostly_in_time, config, start};
use wire::Packets;
use wire::WallNs;

const MS: u64 = 1_000_000;

/// Packets sent between two readings of the clock.
struct Batch {
    sent: Range<WallNs>,
    packets: u64,
}

/// Sends batches until `intervals` intervals began with a batch that lies within them. Interruptions by the
/// scheduler only prolong the run.
fn send_batches(interval: u64, intervals: u64) -> Vec<Batch> {
    const PACKETS: u64 = 10;
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.connect("10.9.0.2:9").unwrap();
    let begun = Instant::now();
    let (mut batches, mut whole, mut last) = (Vec::<Batch>::new(), 0, 0);
    while whole < intervals {
        assert!(begun.elapsed() < PATIENCE, "the sender was interrupted too often: {whole}");
        let begin = wall_ns();
        if (interval / 10..interval / 10 * 9).contains(&(begin % interval)) {
            // A refusal by the other end returns an error, and that call sends nothing.
            let packets = (0..PACKETS).map(|_| u64::from(socket.send(&[7; 400]).is_ok())).sum();
            let sent = begin..wall_ns();
            let of = |time: WallNs| time / interval;
            // Of an interval that begins with this batch.
            whole += u64::from(of(sent.start) > last && of(sent.end) == of(sent.start));
            last = of(sent.end);
            batches.push(Batch { sent, packets });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    batches
}

#[test]
fn over_a_thousand_boundaries_nothing_is_lost_and_all_is_in_the_interval_it_was_sent_in() {
    if !in_namespace() {
        return;
    }
    const INTERVAL: u64 = 10 * MS;
    /// Largest difference between the clock of the packets and the clock that cuts intervals.
    const SLACK: u64 = 200_000;
    let pair = Pair::new();
    // Accepts the other end's packets, so that this end sends only its batches.
    let _sink = UdpSocket::bind("10.9.0.1:9").unwrap();
    let watched = start(config(Duration::from_nanos(INTERVAL)));
    let traffic = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traffic.py");
    let load = format!("for n in 1 2 3 4 5; do python3 {traffic} udp 10.9.0.1 60000 200; done");
    let mut load = pair.there_spawn(&load);
    let batches = send_batches(INTERVAL, 1000);
    assert!(load.wait().unwrap().success());
    pair.wait_for_silence();
    let (there, here) = (pair.sent_there(), pair.sent_here());
    let sums = watched.finish().remove("here").unwrap();

    assert_eq!((sums.rx.bytes.get(), sums.rx.packets.get()), there, "the sum of all samples");
    assert_eq!((sums.tx.bytes.get(), sums.tx.packets.get()), here, "the sum of all samples");
    for pair in sums.samples.windows(2) {
        assert_eq!(pair[0].start_ns + pair[0].interval_ns, pair[1].start_ns, "no gap");
    }
    for sample in sums.samples.iter().filter(|sample| sample.interval_ns <= INTERVAL) {
        for counts in [&sample.rx, &sample.tx] {
            let peak = u64::from(counts.peak_10ms_bytes);
            // Late packets count in this interval, but their peak belongs to an earlier one.
            let late = sample.late > 0 && peak <= counts.bytes.get();
            assert!(peak == counts.bytes.get() || late, "{sample:?}");
        }
    }
    let (mut known, mut moved) = (0, 0);
    for sample in &sums.samples {
        let (start, end) = (sample.start_ns, sample.start_ns + sample.interval_ns);
        let packets = |belongs: &dyn Fn(&Range<WallNs>) -> bool| -> u64 {
            let belonging = batches.iter().filter(|batch| belongs(&batch.sent));
            belonging.map(|batch| batch.packets).sum()
        };
        let least = packets(&|sent| sent.start >= start + SLACK && sent.end + SLACK <= end);
        let most = packets(&|sent| sent.start < end + SLACK && sent.end + SLACK > start);
        let ours = sample.tx.packets;
        moved += least.saturating_sub(ours.get()).max(ours.saturating_sub(Packets(most)).get());
        known += u64::from(least == most && least > 0);
    }
    let (samples, late) = (sums.samples.len(), sums.late);
    println!("{samples} samples, {known} of known count; {moved} packets moved, {late} late");
    assert_mostly_in_time(&sums);
    // Few lie so near a boundary that either is right, and few are of several intervals.
    assert!(samples > 500 && known > 250, "{samples} samples, {known} known");
    assert!(moved <= late, "{moved} packets in another interval, {late} late");
}

/// Packets as tcpdump saw them: time in nanoseconds, and length.
fn read_pcap(file: &std::path::Path) -> Vec<(WallNs, u64)> {
    let fields = "-T fields -e frame.time_epoch -e frame.len";
    let text = sh(&format!("tshark -r {} {fields} 2>/dev/null", file.display()));
    let packet = |line: &str| {
        let (time, len) = line.split_once('\t')?;
        let (seconds, fraction) = time.split_once('.')?;
        let ns: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        Some((WallNs(seconds.parse::<u64>().ok()? * 1000 * MS + ns), len.parse().ok()?))
    };
    text.lines().map(|line| packet(line).expect(line)).collect()
}

/// Most bytes in any window of a length. Tries the window from each packet on.
fn peak(packets: &[(WallNs, u64)], window: u64) -> u64 {
    let from = |first: usize| -> u64 {
        let rest = packets[first..].iter();
        rest.take_while(|(time, _)| *time - packets[first].0 < window).map(|(_, len)| len).sum()
    };
    (0..packets.len()).map(from).max().unwrap_or(0)
}

/// Sends a burst of 1 ms at the link's full rate. Returns the longest pause between two packets.
fn burst(socket: &UdpSocket) -> Duration {
    let (begin, mut longest, mut last) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    while last < Duration::from_millis(1) {
        let _refused = socket.send(&[7; 1400]);
        let now = begin.elapsed();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Starts tcpdump on the NIC `here` with further options, writing to a file.
fn tcpdump(options: &[&str], file: &std::path::Path) -> std::process::Child {
    let tcpdump = Command::new("tcpdump")
        .args(["-Z", "root", "-i", "here", "-B", "65536", "-s", "64", "-U"])
        .args(["--time-stamp-precision=nano"])
        .args(options)
        .arg("-w")
        .arg(file)
        .spawn()
        .expect("tcpdump is needed");
    // The file has a header once tcpdump captures.
    wait_until("tcpdump", || std::fs::metadata(file).unwrap().size() > 0);
    tcpdump
}

#[test]
fn peaks_lie_between_a_window_and_one_a_step_shorter_by_tcpdumps_timestamps() {
    if !in_namespace() {
        return;
    }
    const INTERVAL: u64 = 20 * MS;
    const STEP: u64 = MS / 16;
    /// Largest difference between the clock of the packets and the clock that cuts intervals.
    const SLACK: u64 = 2_000;
    let pair = Pair::new();
    let sink = UdpSocket::bind("10.9.0.1:9").unwrap();
    // From now on the kernel stamps each packet once, on reception, and all taps see that stamp.
    nix::sys::socket::setsockopt(&sink, nix::sys::socket::sockopt::ReceiveTimestampns, &true)
        .unwrap();
    let files = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    let [out, incoming] = &files;
    let mut dumps = [tcpdump(&["-Q", "out"], out.path()), tcpdump(&["-Q", "in"], incoming.path())];
    let watched = start(config(Duration::from_nanos(INTERVAL)));
    let traffic = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traffic.py");
    let mut load = pair.there_spawn(&format!("python3 {traffic} udp 10.9.0.1 40000 300"));
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.connect("10.9.0.2:9").unwrap();
    for n in 0..300 {
        // Two short bursts, 0.5 to 1.1 ms apart, at any time.
        let first = Instant::now();
        for apart in [0, 500 + n * 2] {
            while first.elapsed() < Duration::from_micros(apart) {}
            (0..8).for_each(|_| drop(socket.send(&[7; 1000])));
        }
        std::thread::sleep(Duration::from_micros(3_000 + n * 7));
    }
    assert!(load.wait().unwrap().success());
    pair.wait_for_silence();
    let sums = watched.finish().remove("here").unwrap();
    let packets =
        [(out, sums.tx.captured), (incoming, sums.rx.captured)].map(|(file, captured)| {
            let mut packets = Vec::new();
            wait_until("tcpdump to have written what it saw", || {
                packets = read_pcap(file.path());
                packets.len() as u64 >= captured.get()
            });
            packets.sort_unstable();
            packets
        });
    for dump in &mut dumps {
        sh(&format!("kill -INT {}", dump.id()));
        assert!(dump.wait().unwrap().success());
    }

    // A late packet counts in a later interval than its own, and may be missing in the two peaks of its
    // own, and be too much in the two of the other.
    let (mut checked, mut wrong, late) = (0, Vec::new(), sums.late);
    for sample in &sums.samples {
        for (packets, ours) in packets.iter().zip([&sample.tx, &sample.rx]) {
            let within = |from: WallNs, to: WallNs| -> Vec<(WallNs, u64)> {
                let start = packets.partition_point(|(time, _)| *time < from);
                let end = packets.partition_point(|(time, _)| *time < to);
                packets[start.min(end)..end].to_vec()
            };
            let (start, end) = (sample.start_ns, sample.start_ns + sample.interval_ns);
            let (inside, around) =
                (within(start + SLACK, end - SLACK), within(start - SLACK, end + SLACK));
            for (window, peak_bytes) in [(MS, ours.peak_1ms_bytes), (10 * MS, ours.peak_10ms_bytes)]
            {
                let least = peak(&inside, window - STEP - SLACK);
                let most = peak(&around, window + SLACK);
                let peak_bytes = u64::from(peak_bytes);
                if !(least..=most).contains(&peak_bytes) {
                    wrong.push(format!("{least}..={most}: {peak_bytes}"));
                }
                checked += u64::from(peak_bytes > 0);
            }
        }
    }
    println!("{checked} peaks; {late} packets late, {} peaks wrong", wrong.len());
    assert_mostly_in_time(&sums);
    assert!(wrong.len() as u64 <= 4 * late, "{late} packets late: {wrong:?}");
    assert!(checked > 100, "{checked} peaks");
}

/// A longer pause inside a burst, in nanoseconds, means that its sender was interrupted. The rest of the
/// burst may then all lie at the ends of the window.
const INTERRUPTED: u64 = 300_000;

/// Sends bursts in seconds that are quiet otherwise. Returns how many were seen whole, each at its height.
fn whole_bursts_seen(pair: &Pair) -> u64 {
    /// So many at least, until one was not interrupted.
    const BURSTS: u64 = 5;
    const SECOND: u64 = 1000 * MS;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tcpdump = tcpdump(&["-Q", "out"], file.path());
    let watched = start(config(Duration::from_nanos(SECOND)));
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.connect("10.9.0.2:9").unwrap();
    let (begun, mut n, mut uninterrupted) = (Instant::now(), 0, 0);
    while n < BURSTS || uninterrupted == 0 {
        assert!(begun.elapsed() < PATIENCE, "the sender of {n} bursts was interrupted in each");
        let now = wall_ns();
        // Each in the middle of its own second.
        let at = (now / SECOND + 1) * SECOND + 200 * MS + n % BURSTS * 123_456_789;
        std::thread::sleep(Duration::from_nanos(WallNs(at) - now));
        // Half of what its packets' timestamps may show.
        let half = Duration::from_nanos(INTERRUPTED / 2);
        uninterrupted += u64::from(burst(&socket) < half);
        n += 1;
    }
    pair.wait_for_silence();
    let sums = watched.finish().remove("here").unwrap();
    let mut packets = Vec::new();
    wait_until("tcpdump to have written what it saw", || {
        packets = read_pcap(file.path());
        packets.len() as u64 >= sums.tx.captured.get()
    });
    sh(&format!("kill -INT {}", tcpdump.id()));
    assert!(tcpdump.wait().unwrap().success());

    let mut whole = 0;
    for sample in sums.samples.iter().filter(|sample| sample.tx.packets > Packets(0)) {
        let bounds = sample.start_ns..sample.start_ns + sample.interval_ns;
        let inside: Vec<_> =
            packets.iter().copied().filter(|(time, _)| bounds.contains(time)).collect();
        let truth = peak(&inside, MS);
        let ours = u64::from(sample.tx.peak_1ms_bytes);
        let pauses = inside.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let pause = pauses.max().unwrap_or(0);
        let short = 100.0 * (1.0 - ours as f64 / truth as f64);
        println!(
            "burst of {truth} bytes in 1 ms: ours {ours}, {short:.1} % less; pause {pause} ns"
        );
        // What came late counts in another second than its own: neither shows its burst.
        if sample.late > 0 || sample.tx.captured != Packets(inside.len() as u64) {
            continue;
        }
        assert!(ours <= truth, "more than passed");
        assert!(u64::from(sample.tx.peak_10ms_bytes) <= peak(&inside, 10 * MS));
        if pause <= INTERRUPTED {
            whole += 1;
            assert!(ours * 10 > truth * 9, "within 10 %: {ours} of {truth}");
        }
    }
    whole
}

#[test]
fn a_burst_of_one_ms_in_a_quiet_second_is_seen_at_its_height() {
    if !in_namespace() {
        return;
    }
    /// A busy machine may interrupt the sender, or make packets late, in all bursts of one.
    const TRIES: usize = 4;
    let pair = Pair::new();
    let seen = (0..TRIES).any(|_| whole_bursts_seen(&pair) > 0);
    assert!(seen, "in each of {TRIES} tries each burst was interrupted, or some of it came late");
}
