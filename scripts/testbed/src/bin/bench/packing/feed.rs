//! What agents with NICs of a kind send: samples, and mixes of the same traffic.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use collector::store::{Batch, Epoch, Point, PointCounts, SessionBatch, Store};
use wire::frame::{Counts, Frame, Mix, MixCounts, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Session};
use wire::{Bytes, Packets, Seq, WallNs};

use crate::packed::traffic::{INTERVAL_NS, Kind};

/// Samples of a NIC in an hour.
pub const HOUR: u64 = 7200;

/// Samples that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    batch: usize,
    mix: usize,
}

/// A batch of 2 s, as collectors make them, and a mix of 10 s.
pub const STEP: Step = Step { batch: 4, mix: 20 };

impl Step {
    /// Samples of a NIC for each of its mixes.
    pub const fn mix(self) -> u64 {
        self.mix as u64
    }

    pub const fn batches_of_hour(self) -> u64 {
        HOUR / self.batch as u64
    }

    /// True if an agent sends mixes with the sample at a place: agents begin at different times.
    const fn sends_mixes(self, agent: u64, at: usize) -> bool {
        (at as u64 + 1 + agent * self.batch as u64).is_multiple_of(self.mix())
    }
}

/// The start of so many hours that ended at the start of today (UTC): their rows lie in the partitions of their days,
/// as those of a collector do.
pub fn hours_before_today(hours: u64) -> anyhow::Result<WallNs> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let today = now.as_secs() / 86_400 * 86_400;
    Ok(WallNs(today * 1_000_000_000 - hours * HOUR * INTERVAL_NS))
}

/// A NIC's samples, and its totals so far.
struct FedNic {
    name: NicName,
    rows: Vec<Point>,
    totals: [Counts; 2],
}

/// An agent and its session.
struct FedAgent {
    number: u64,
    client: ClientId,
    session: SessionId,
    epoch: Epoch,
    nics: Vec<FedNic>,
}

/// The batches of agents with two NICs each, from a start on.
pub async fn batches(
    kind: &Kind,
    agents: u64,
    [start_ns, end_ns]: [WallNs; 2],
    store: &dyn Store,
) -> anyhow::Result<Vec<Arc<Batch>>> {
    let mut all = Vec::new();
    for agent in 0..agents {
        all.push(FedAgent::new(kind, agent, [start_ns, end_ns], store).await?);
    }
    let samples = usize::try_from((end_ns - start_ns) / INTERVAL_NS)?;
    let starts = (0..samples).step_by(STEP.batch);
    let batch = |first| -> anyhow::Result<Arc<Batch>> {
        let sessions = all.iter_mut().map(|agent| agent.next(first));
        Ok(Arc::new(Batch::new(sessions.collect::<anyhow::Result<_>>()?)))
    };
    starts.map(batch).collect()
}

impl FedAgent {
    async fn new(
        kind: &Kind,
        number: u64,
        [start_ns, end_ns]: [WallNs; 2],
        store: &dyn Store,
    ) -> anyhow::Result<Self> {
        let (client, session) =
            (ClientId::new(&format!("web-{number}"))?, SessionId::new(number + 1));
        let sessions = vec![Session { session, started_ns: start_ns }];
        let hello = Hello { sessions, ..Hello::default() };
        let opened = store.open_sessions(&client, &hello, start_ns).await?;
        let epoch = opened.first().context("no session")?.epoch;
        let nic = |nic: u64| {
            let name = NicName::new(&format!("eth{nic}")).context("no name of a NIC")?;
            let mut rows = kind.rows(2 * number + nic, (end_ns - start_ns) / INTERVAL_NS);
            for (row, at) in rows.iter_mut().zip(0..) {
                row.start_ns = start_ns + at * INTERVAL_NS;
            }
            anyhow::Ok(FedNic { name, rows, totals: Default::default() })
        };
        Ok(Self { number, client, session, epoch, nics: vec![nic(0)?, nic(1)?] })
    }

    /// The frames of a batch, whose first samples are those at a place.
    fn next(&mut self, first: usize) -> anyhow::Result<SessionBatch> {
        let mut frames = Vec::new();
        for at in first..first + STEP.batch {
            let samples = self.nics.iter_mut().map(|nic| nic.sample(at)).collect();
            let mixes = if STEP.sends_mixes(self.number, at) {
                self.nics.iter().map(|nic| nic.mix_until(at)).collect()
            } else {
                vec![]
            };
            let (session, seq) = (self.session, Seq(at as u64 + 1));
            let (first_seq, last_seq, gap, talkers) = (seq, seq, 0, vec![]);
            frames.push(Frame { session, first_seq, last_seq, gap, samples, mixes, talkers });
        }
        let Self { client, session, epoch, .. } = self;
        Ok(SessionBatch::new(client.clone(), *session, *epoch, Seq(first as u64), frames))
    }
}

impl FedNic {
    fn sample(&mut self, at: usize) -> Sample {
        let row = &self.rows[at];
        let counts = |totals: &mut Counts, row: &PointCounts| {
            totals.total_bytes = Bytes(totals.total_bytes.get() + row.bytes.get());
            totals.total_packets = Packets(totals.total_packets.get() + row.packets.get());
            Counts {
                bytes: row.bytes,
                packets: row.packets,
                captured: row.captured,
                peak_1ms_bytes: row.peak_1ms_bytes,
                peak_10ms_bytes: row.peak_10ms_bytes,
                ..*totals
            }
        };
        let [rx, tx] = &mut self.totals;
        Sample {
            nic: self.name,
            start_ns: row.start_ns,
            interval_ns: row.interval_ns,
            rx: counts(rx, &row.rx),
            tx: counts(tx, &row.tx),
            drops: row.drops,
            flags: row.flags,
            ..Sample::default()
        }
    }

    /// The mix of the samples until a place.
    fn mix_until(&self, last: usize) -> Mix {
        let rows = &self.rows[(last + 1).saturating_sub(STEP.mix)..=last];
        let sum = |of: fn(&Point) -> &PointCounts| {
            let counts = rows.iter().map(of);
            counts.fold((0, 0), |sum, it| (sum.0 + it.packets.get(), sum.1 + it.bytes.get()))
        };
        let (rx, tx) = (sum(|row| &row.rx), sum(|row| &row.tx));
        let mut mix = Mix {
            nic: self.name,
            start_ns: rows[0].start_ns,
            interval_ns: rows.len() as u64 * INTERVAL_NS,
            rx: made_of(rx),
            tx: made_of(tx),
            ..Mix::default()
        };
        (mix.kernel.rx_packets, mix.kernel.rx_bytes) = (Packets(rx.0), Bytes(rx.1 - 4 * rx.0));
        (mix.kernel.tx_packets, mix.kernel.tx_bytes) = (Packets(tx.0), Bytes(tx.1 - 4 * tx.0));
        mix
    }
}

/// What so many packets and bytes may be made of. The digits of the sums, which are noisy, decide the shares.
fn made_of((packets, bytes): (u64, u64)) -> MixCounts {
    let digits = packets ^ bytes >> 3;
    // A share of `percent`, or a few more.
    let share = |of: u64, percent: u64, shift: u32| {
        of * percent / 100 + (of / 100).min((digits >> shift) % (of / 50 + 1))
    };
    let [udp, icmp] = [share(packets, 12, 0), (digits >> 7) % (packets / 400 + 1)];
    let [udp_bytes, icmp_bytes, ipv6, arp] =
        [share(bytes, 8, 2), icmp * 98, share(bytes, 9, 5), (digits >> 11) % 3 * 64];
    let tcp = packets.saturating_sub(udp + icmp);
    let mut mix = MixCounts {
        multicast_packets: Packets((digits >> 4) % (packets / 900 + 2)),
        broadcast_packets: Packets((digits >> 9) % (packets / 2000 + 2)),
        tcp_syn_packets: Packets(share(tcp, 1, 3)),
        tcp_rst_packets: Packets((digits >> 6) % (tcp / 300 + 1)),
        ipv4_bytes: Bytes(bytes.saturating_sub(ipv6 + arp)),
        ipv6_bytes: Bytes(ipv6),
        arp_bytes: Bytes(arp),
        tcp_packets: Packets(tcp),
        tcp_bytes: Bytes(bytes.saturating_sub(udp_bytes + icmp_bytes + arp)),
        udp_packets: Packets(udp),
        udp_bytes: Bytes(udp_bytes),
        icmp_packets: Packets(icmp),
        icmp_bytes: Bytes(icmp_bytes),
        ..MixCounts::default()
    };
    let mut left = packets;
    let classes = [(22, 4), (9, 0), (6, 6), (4, 4), (5, 5), (53, 8)];
    for (class, (percent, shift)) in mix.size_packets.iter_mut().zip(classes) {
        *class = Packets(share(packets, percent, shift).min(left));
        left -= class.get();
    }
    mix.size_packets[6] = Packets(left);
    mix
}
