//! Frames, and a spool to store them.

use std::path::Path;
use std::time::Duration;

use agent::clocks::BootId;
use agent::ship::spool::{Now, Record, Spool, SpoolLimits};
use wire::codec::{self, Received};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{NicName, SessionId};
use wire::message::SeqRange;
use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, address_bytes};
use wire::{BootNs, Seq, WallNs};
use wire::{Bytes, Packets};

pub const SESSION: SessionId = SessionId::new(u64::MAX - 5);
pub const SECOND: u64 = 1_000_000_000;

pub fn limits() -> SpoolLimits {
    SpoolLimits {
        max_size: 64 << 20,
        max_age: Duration::from_secs(7 * 86_400),
        keep_committed: Duration::from_secs(600),
    }
}

/// The same time on both clocks.
pub const fn at(ns: u64) -> Now {
    Now { wall_ns: WallNs(ns), boot_ns: BootNs(ns), boot: BootId(0) }
}

pub fn open(path: &Path, limits: SpoolLimits) -> Spool {
    let (spool, damaged) = Spool::open(path, limits, Now::default()).unwrap();
    assert_eq!(damaged, None);
    spool
}

/// The record of a second: `seq` bytes in one packet, and matching totals.
pub fn frame(seq: u64) -> Frame {
    frame_of(SESSION, seq, seq)
}

/// The same, as a record of any session and number.
pub fn frame_of(session: SessionId, seq: u64, second: u64) -> Frame {
    let rx = Counts {
        bytes: Bytes(second),
        packets: Packets(1),
        total_bytes: Bytes(second * (second + 1) / 2),
        total_packets: Packets(second),
        ..Counts::default()
    };
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        start_ns: WallNs(second * SECOND),
        interval_ns: SECOND,
        rx,
        ..Sample::default()
    };
    let (first_seq, last_seq, gap) = (seq, seq, 0);
    Frame {
        session,
        first_seq: Seq(first_seq),
        last_seq: Seq(last_seq),
        gap,
        samples: vec![sample],
        mixes: vec![],
        talkers: vec![],
    }
}

pub fn append(spool: &mut Spool, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        spool.append(&[frame(seq)], BootNs(seq * SECOND)).unwrap();
    }
}

pub const fn range(first: u64, last: u64) -> SeqRange {
    SeqRange { first: Seq(first), last: Seq(last) }
}

pub fn decoded(records: &[Record]) -> Vec<Frame> {
    let frame = |record: &Record| match codec::decode(&record.frame).unwrap() {
        Received::Frame(frame) => frame,
        Received::Message(other) => panic!("{other:?}"),
    };
    records.iter().map(frame).collect()
}

pub fn read_all(spool: &mut Spool, last: u64) -> Vec<Frame> {
    let frames = decoded(&spool.read(SESSION, range(1, last), usize::MAX).unwrap());
    let mut next = 1;
    for frame in &frames {
        assert_eq!(frame.first_seq, Seq(next), "records tile the numbers");
        next = (frame.last_seq + 1).get();
    }
    assert_eq!(next, last + 1);
    frames
}

pub fn bytes(frames: &[Frame]) -> u64 {
    frames.iter().flat_map(|frame| &frame.samples).map(|sample| sample.rx.bytes.get()).sum()
}

/// A minute of a NIC with this many bytes and packets in each direction, 16 talkers of each, and owners
/// with names as they are in real hosts.
pub fn minute(nic: NicName, n: u64, bytes: u64, packets: u64) -> Talkers {
    let talker = |place: u64| {
        let random = (n * 31 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [a, b, c, ..] = random.to_be_bytes();
        Talker {
            key: TalkerKey {
                protocol: 6,
                port: [443, 5432, 9100, 22][(random % 4) as usize],
                address: address_bytes([203, a, b, c].into()),
                ..TalkerKey::default()
            },
            bytes: Bytes(bytes / (place + 1) / 4),
            packets: Packets(packets / (place + 1) / 4),
            owner: u16::try_from(place % 6).unwrap(),
        }
    };
    let list = TalkerList {
        total_bytes: Bytes(bytes),
        total_packets: Packets(packets),
        error_bytes: Bytes(bytes / 10_000),
        unlisted_bytes: Bytes(bytes / 60),
        distinct: 900 + n % 100,
        distinct_error: 15,
        talkers: (0..16).map(talker).collect(),
    };
    let owner = |name: &str, process: &str| TalkerOwner {
        kind: 0,
        name: name.to_owned(),
        process: process.to_owned(),
    };
    Talkers {
        nic,
        start_ns: WallNs(n * 60 * SECOND),
        interval_ns: 60 * SECOND,
        kind: 0,
        rx: list.clone(),
        tx: list,
        owners: vec![
            owner("nginx.service", "nginx"),
            owner("postgresql@15-main.service", "postgres"),
            owner("ssh.service", "sshd"),
            owner("4f0c9a3b2d1e4f0c9a3b2d1e4f0c9a3b2d1e4f0c9a3b2d1e4f0c9a3b2d1e4f0c", "java"),
            owner("network-monitor-agent.service", "netmon-agent"),
        ],
    }
}
