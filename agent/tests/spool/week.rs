//! A long time without a collector, with two intervals a second on two NICs, in simulated time: a
//! twentieth of a week in a twentieth of the default size. `bench week` runs the whole.

use agent::ship::framer::{FRAME_LEN, Framer};
use agent::ship::spool::{Spool, SpoolLimits};
use wire::frame::{Counts, Mix, Sample};
use wire::id::NicName;
use wire::{BootNs, Seq, WallNs};
use wire::{Bytes, Packets};

use crate::support::{SECOND, SESSION, at, decoded, limits, minute, open, range};

const MS: u64 = 1_000_000;
const TIME_S: u64 = 7 * 86_400 / 20;
const SIZE: u64 = (64 << 20) / 20;
const START_NS: u64 = 1_700_000_000_000_000_000;

/// One interval of both NICs: its bytes, and the total of all earlier ones.
fn interval(n: u64, total: &mut u64) -> (Vec<Sample>, Vec<Mix>) {
    let bytes = (n * 7919) % 100_000;
    *total += bytes;
    let counts = Counts {
        bytes: Bytes(bytes),
        packets: Packets(1),
        total_bytes: Bytes(*total),
        total_packets: Packets(n + 1),
        ..Counts::default()
    };
    let nics = ["eth0", "eth1"].map(|nic| NicName::new(nic).unwrap());
    let start_ns = START_NS + n * 500 * MS;
    let sample = |nic| Sample {
        nic,
        start_ns: WallNs(start_ns),
        interval_ns: 500 * MS,
        rx: counts,
        tx: counts,
        ..Sample::default()
    };
    let mix = |nic| Mix {
        nic,
        start_ns: WallNs(start_ns - 9500 * MS),
        interval_ns: 10_000 * MS,
        ..Mix::default()
    };
    let mixes = if n % 20 == 19 { nics.map(mix).to_vec() } else { vec![] };
    (nics.map(sample).to_vec(), mixes)
}

#[test]
fn a_week_offline_fits_its_size_with_exact_totals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let limits = SpoolLimits { max_size: SIZE, ..limits() };
    let (mut spool, _) = Spool::open(&path, limits, at(START_NS)).unwrap();
    spool.begin(SESSION, at(START_NS)).unwrap();
    let mut framer = Framer::new(SESSION, Seq(0), 1000 * MS);
    let (mut total, mut frames, mut largest, mut named) = (0, Vec::new(), 0, 0);
    for n in 0..2 * TIME_S {
        let (samples, mixes) = interval(n, &mut total);
        if n % 120 == 119 {
            let minute = |nic| minute(nic, START_NS / (60 * SECOND) + n / 120, total - named, 120);
            framer.add_talkers(samples.iter().map(|sample| minute(sample.nic)));
            named = total;
        }
        frames.extend(framer.add(samples, mixes));
        if n % 1200 == 1199 || n + 1 == 2 * TIME_S {
            // Ten minutes at a time, to keep the test short.
            let now_ns = START_NS + (n + 1) * 500 * MS;
            spool.append(&frames, BootNs(now_ns)).unwrap();
            spool.maintain(SESSION, BootNs(now_ns)).unwrap();
            frames.clear();
            let files = ["spool.db", "spool.db-wal"].map(|name| directory.path().join(name));
            let sizes = files.iter().filter_map(|file| std::fs::metadata(file).ok());
            largest = largest.max(sizes.map(|it| it.len()).sum::<u64>());
        }
    }
    let last = spool.sessions(SESSION).unwrap()[0].last_seq;
    let records = spool.read(SESSION, range(1, last.get()), usize::MAX).unwrap();
    let (mut next, mut sums, mut gaps, mut talkers) = (1, [[0; 2]; 2], 0, 0);
    for frame in decoded(&records) {
        talkers += frame.talkers.len();
        assert_eq!(frame.first_seq, Seq(next));
        next = (frame.last_seq + 1).get();
        gaps += u64::from(frame.gap != 0);
        for sample in &frame.samples {
            let nic = usize::from(sample.nic == NicName::new("eth1").unwrap());
            sums[nic][0] += sample.rx.bytes.get();
            sums[nic][1] += sample.tx.bytes.get();
        }
    }
    assert_eq!((next, sums), ((last + 1).get(), [[total; 2]; 2]), "every byte is in a record");
    println!(
        "{last} reports in {} records, {gaps} of them gaps, {talkers} lists of talkers; files at most {} KiB",
        records.len(),
        largest >> 10
    );
    // Plus the ten minutes written at a time.
    assert!(largest <= SIZE + SIZE / 10, "{largest}");
}

#[test]
fn records_of_talkers_fit_datagrams_and_take_a_page_each_until_they_are_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, at(0)).unwrap();
    let mut framer = Framer::new(SESSION, Seq(0), 1000 * MS);
    let nic = NicName::new("eth0").unwrap();
    // 8 Gbit/s.
    framer
        .add_talkers((0..1440).map(|n| minute(nic, n, 60_000_000_000 + n * 7919, 50_000_000 + n)));
    let frames = framer.finish();
    assert_eq!(frames.len(), 1440);
    let encoded = |frame| wire::codec::encode_frame(frame).unwrap().len();
    let encoded: usize = frames.iter().map(encoded).sum();
    let each = encoded / frames.len();
    spool.append(&frames, BootNs(2)).unwrap();
    // Closing moves everything into the file.
    drop(spool);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{each} bytes a record; on disk {}, {} kB a day", bytes / 1440, bytes / 1000);
    assert!(each <= FRAME_LEN && bytes < 7_000_000, "{each} {bytes}");
}
