//! Agents that only make batches, as the writer passes them to a store while a backlog drains.

use std::sync::Arc;

use collector::store::{Batch, Epoch, SessionBatch, Store};
use wire::frame::{Counts, Frame, KernelCounts, Mix, MixCounts, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Host, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

/// The sample interval, nanoseconds.
const INTERVAL_NS: u64 = 500_000_000;

/// Samples of each NIC between two mixes.
const MIX_SAMPLES: u64 = 20;

/// Samples of each NIC in a batch: 20,000 rows of 100 clients.
const BATCH_SAMPLES: u64 = 100;

const NICS: [&str; 2] = ["eth0", "eth1"];

/// Agents with a session each.
#[derive(Debug)]
pub struct Agents {
    clients: u64,
    /// Part of the ids of the sessions.
    run: u64,
    start_ns: u64,
    mixes: bool,
}

impl Agents {
    /// Rows of samples from `clients` clients in `minutes` minutes.
    pub const fn rows(clients: u64, minutes: u64) -> u64 {
        clients * NICS.len() as u64 * minutes * 120
    }

    /// Registers the agents in a store. Samples start at midnight: its partitions exist.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new(
        store: &impl Store,
        clients: u64,
        run: u64,
        mixes: bool,
    ) -> anyhow::Result<Self> {
        let day_ns = 86_400_000_000_000;
        let start_ns = collector::time::now_ns() / day_ns * day_ns;
        let agents = Self { clients, run, start_ns, mixes };
        for n in 0..clients {
            let session = Session { session: agents.session(n), started_ns: WallNs(start_ns) };
            let sessions = vec![session];
            let hello = Hello { sessions, alias: String::new(), host: Host::default() };
            store.open_sessions(&client(n)?, &hello, WallNs(start_ns)).await?;
        }
        Ok(agents)
    }

    const fn session(&self, client: u64) -> SessionId {
        SessionId::new(self.run << 32 | client)
    }

    /// The batches of `minutes` minutes, in order.
    pub fn batches(&self, minutes: u64) -> impl Iterator<Item = anyhow::Result<Arc<Batch>>> {
        self.batches_of(minutes, BATCH_SAMPLES)
    }

    /// The same, with a given number of samples per NIC in each batch.
    pub fn batches_of(
        &self,
        minutes: u64,
        samples: u64,
    ) -> impl Iterator<Item = anyhow::Result<Arc<Batch>>> {
        let starts = (0..minutes * 120).step_by(usize::try_from(samples).unwrap_or(1));
        starts.map(move |first| {
            let until = (first + samples).min(minutes * 120);
            let session = |n| {
                let frames = (first..until).map(|interval| self.frame(n, interval)).collect();
                let session = self.session(n);
                Ok(SessionBatch::new(client(n)?, session, Epoch(1), Seq(first), frames))
            };
            let sessions = (0..self.clients).map(session).collect::<anyhow::Result<_>>()?;
            Ok(Arc::new(Batch::new(sessions)))
        })
    }

    fn frame(&self, client: u64, interval: u64) -> Frame {
        let start_ns = self.start_ns + interval * INTERVAL_NS;
        // Figures of a busy host; every row is different.
        let noise = (client * 7919 + interval * 104_729) % 1_000_003;
        let counts = |n: u64| Counts {
            bytes: Bytes(60_000_000 + noise * n),
            packets: Packets(45_000 + noise % 977),
            captured: Packets(2_000 + noise % 97),
            peak_1ms_bytes: 250_000,
            peak_10ms_bytes: 1_900_000,
            total_bytes: Bytes((interval + 1) * 70_000_000),
            total_packets: Packets((interval + 1) * 50_000),
        };
        let nic = |name: &str| NicName::new(name).unwrap_or_default();
        let sample = |(n, name): (u64, &str)| Sample {
            nic: nic(name),
            start_ns: WallNs(start_ns),
            interval_ns: INTERVAL_NS,
            rx: counts(n),
            tx: counts(n + 1),
            kernel: KernelCounts { rx_bytes: Bytes(noise), ..KernelCounts::default() },
            ..Sample::default()
        };
        let mix = |(n, name): (u64, &str)| {
            let rx = MixCounts { tcp_bytes: Bytes(noise * n), ..MixCounts::default() };
            let interval_ns = MIX_SAMPLES * INTERVAL_NS;
            Mix { nic: nic(name), start_ns: WallNs(start_ns), interval_ns, rx, ..Mix::default() }
        };
        let mixes = self.mixes && interval.is_multiple_of(MIX_SAMPLES);
        Frame {
            session: self.session(client),
            first_seq: Seq(interval + 1),
            last_seq: Seq(interval + 1),
            gap: 0,
            samples: (1..).zip(NICS).map(sample).collect(),
            mixes: (1..).zip(NICS).filter(|_| mixes).map(mix).collect(),
            talkers: vec![],
        }
    }
}

fn client(n: u64) -> anyhow::Result<ClientId> {
    Ok(ClientId::new(&format!("host-{n}"))?)
}
