//! Batches for tests: an honest agent with a session.

use std::sync::Arc;

use collector::store::{Batch, Epoch, Point, PointCounts, Resolution, SeriesRange, SessionBatch};
use wire::frame::{Counts, Frame, KernelCounts, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Host, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

pub const SECOND: u64 = 1_000_000_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const DAY: u64 = 86_400 * SECOND;

/// Midnight, 2027-01-15.
pub const START: u64 = 1_799_971_200 * SECOND;

pub fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

pub fn nic(name: &str) -> NicName {
    NicName::new(name).unwrap()
}

pub fn hello(sessions: &[u64]) -> Hello {
    let session =
        |&session| Session { session: SessionId::new(session), started_ns: WallNs(START) };
    Hello {
        sessions: sessions.iter().map(session).collect(),
        alias: "the web server".into(),
        host: Host {
            agent_version: "1.2.3".into(),
            os: "Debian".into(),
            kernel: "6.1".into(),
            cpus: 4,
            sample_interval_ns: SECOND / 2,
        },
    }
}

/// Figures of a direction, all different.
pub fn counts(n: u64) -> Counts {
    Counts {
        bytes: Bytes(1000 * n + 1),
        packets: Packets(10 * n + 2),
        captured: Packets(5 * n + 3),
        peak_1ms_bytes: u32::try_from(100 * n + 4).unwrap(),
        peak_10ms_bytes: u32::try_from(200 * n + 5).unwrap(),
        total_bytes: Bytes(0),
        total_packets: Packets(0),
    }
}

pub fn sample(name: &str, start_ns: u64, n: u64) -> Sample {
    Sample {
        nic: nic(name),
        start_ns: WallNs(start_ns),
        interval_ns: SECOND / 2,
        rx: counts(n),
        tx: counts(2 * n),
        drops: Packets(n % 3),
        kernel: KernelCounts { rx_bytes: Bytes(7 * n), ..KernelCounts::default() },
        ..Sample::default()
    }
}

/// An agent's session, which keeps its totals as an agent does.
#[derive(Debug, Clone)]
pub struct Agent {
    pub client: ClientId,
    pub session: SessionId,
    pub epoch: Epoch,
    pub seq: u64,
    totals: std::collections::HashMap<NicName, [u64; 4]>,
}

impl Agent {
    pub fn new(id: &str, session: u64, epoch: u64) -> Self {
        let totals = std::collections::HashMap::new();
        Self {
            client: client(id),
            session: SessionId::new(session),
            epoch: Epoch(epoch),
            seq: 0,
            totals,
        }
    }

    /// The next record, covering `length` sequence numbers.
    pub fn record(&mut self, length: u64, gap: u8, samples: Vec<Sample>) -> Frame {
        let samples = samples.into_iter().map(|mut sample| {
            let totals = self.totals.entry(sample.nic).or_default();
            let more = [&sample.rx, &sample.tx].map(|it| [it.bytes.get(), it.packets.get()]);
            totals
                .iter_mut()
                .zip(more.into_iter().flatten())
                .for_each(|(total, more)| *total += more);
            let [rx_bytes, rx_packets, tx_bytes, tx_packets] = *totals;
            (sample.rx.total_bytes, sample.rx.total_packets) =
                (Bytes(rx_bytes), Packets(rx_packets));
            (sample.tx.total_bytes, sample.tx.total_packets) =
                (Bytes(tx_bytes), Packets(tx_packets));
            sample
        });
        let samples = samples.collect();
        let first_seq = self.seq + 1;
        self.seq += length;
        let (session, last_seq) = (self.session, self.seq);
        Frame {
            session,
            first_seq: Seq(first_seq),
            last_seq: Seq(last_seq),
            gap,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    }

    pub fn frame(&mut self, samples: Vec<Sample>) -> Frame {
        self.record(1, 0, samples)
    }

    /// A batch with the session's newest frames.
    pub fn batch(&self, frames: Vec<Frame>) -> SessionBatch {
        let expected = frames.first().map_or(self.seq, |frame| (frame.first_seq - 1).get());
        SessionBatch::new(self.client.clone(), self.session, self.epoch, Seq(expected), frames)
    }

    /// A batch of one frame.
    pub fn next(&mut self, samples: Vec<Sample>) -> Arc<Batch> {
        let frame = self.frame(samples);
        batch([self.batch(vec![frame])])
    }
}

pub fn batch(sessions: impl IntoIterator<Item = SessionBatch>) -> Arc<Batch> {
    Arc::new(Batch::new(sessions.into_iter().collect()))
}

/// The expected point of a sample.
pub fn point(sample: &Sample) -> Point {
    let counts = |counts: &Counts| PointCounts {
        bytes: counts.bytes,
        packets: counts.packets,
        captured: counts.captured,
        peak_1ms_bytes: counts.peak_1ms_bytes,
        peak_10ms_bytes: counts.peak_10ms_bytes,
    };
    Point {
        start_ns: sample.start_ns,
        interval_ns: sample.interval_ns,
        rx: counts(&sample.rx),
        tx: counts(&sample.tx),
        drops: sample.drops,
        flags: sample.flags,
    }
}

/// A range with everything of a NIC from one table.
pub fn all(client: &str, nic: &str, resolution: Resolution) -> SeriesRange {
    SeriesRange {
        client: client.into(),
        nic: nic.into(),
        from_ns: WallNs(0),
        to_ns: WallNs(START + 1000 * DAY),
        limit: 1_000_000,
        resolution: Some(resolution),
    }
}
