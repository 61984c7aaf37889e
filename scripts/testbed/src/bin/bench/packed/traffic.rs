//! Made-up traffic, noisy on purpose: rates wander, packets come at random, and each sample has other sizes,
//! super-packets and bursts.

use std::f64::consts::TAU;

use collector::store::{Point, PointCounts};
use wire::{Bytes, Packets, WallNs};

/// NICs of one kind.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// Packets of both directions in a sample.
    packets: f64,
    /// Their mean size, bytes.
    size: f64,
    /// Packets of a super-packet.
    segments: f64,
    /// Most bytes of a row in PostgreSQL.
    pub target: f64,
}

/// A NIC with 1 Gbit/s, one with 30 Mbit/s, and one on which next to nothing happens.
pub const KINDS: [Kind; 3] = [
    Kind { name: "busy", packets: 80_000.0, size: 900.0, segments: 12.0, target: 28.0 },
    Kind { name: "moderate", packets: 2500.0, size: 700.0, segments: 3.0, target: 24.0 },
    Kind { name: "idle", packets: 3.0, size: 200.0, segments: 1.0, target: 12.0 },
];

pub const START_NS: u64 = 1_799_971_200_000_000_000;
pub const INTERVAL_NS: u64 = 500_000_000;

/// Samples of 500 ms have 500 windows of 1 ms and 50 of 10 ms.
const WINDOWS: [f64; 2] = [500.0, 50.0];

/// A generator of noise (xorshift), the same in every run.
struct Noise(u64);

impl Noise {
    /// From 0 to 1, evenly.
    fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around 0, normally.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.even().max(1e-12).ln()).sqrt() * (TAU * self.even()).cos()
    }

    /// How many of rare events come.
    fn events(&mut self, mean: f64) -> f64 {
        if mean > 200.0 {
            return mean.sqrt().mul_add(self.normal(), mean).round().max(0.0);
        }
        let (mut product, mut events, end) = (self.even(), 0.0, (-mean).exp());
        while product > end {
            product *= self.even();
            events += 1.0;
        }
        events
    }
}

impl Kind {
    /// The samples of a NIC.
    pub fn rows(&self, nic: u64, samples: u64) -> Vec<Point> {
        let mut noise = Noise(nic * 7919 + 13);
        let mut levels = [0.0, 0.0];
        let row = |n: u64| {
            let [rx, tx] = [(0, 0.5), (1, 0.3)].map(|(at, share)| {
                let level: &mut f64 = &mut levels[at];
                *level = level.mul_add(0.98, 0.08 * noise.normal());
                let mean = self.packets * share * level.exp();
                self.counts(&mut noise, mean)
            });
            let start_ns = WallNs(START_NS + n * INTERVAL_NS);
            Point { start_ns, interval_ns: INTERVAL_NS, rx, tx, ..Point::default() }
        };
        (0..samples).map(row).collect()
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn counts(&self, noise: &mut Noise, mean: f64) -> PointCounts {
        let packets = noise.events(mean);
        let bytes = if packets < 50.0 {
            let size = |noise: &mut Noise| match noise.even() {
                few if few < 0.7 => 66.0 + (20.0 * noise.even()).floor(),
                _ => 90.0 + (1200.0 * noise.even()).floor(),
            };
            (0..packets as u64).map(|_| size(noise)).sum()
        } else {
            packets * 40.0_f64.mul_add(noise.normal(), self.size).max(60.0)
        };
        let segments =
            if self.segments > 1.0 { 0.5_f64.mul_add(noise.normal(), self.segments) } else { 1.0 };
        let captured = (packets / segments.max(1.0)).max(packets.min(1.0));
        let mut most = 0.0;
        let peaks = WINDOWS.map(|windows| {
            let burst: f64 = if windows > 100.0 { 3.0 } else { 0.8 };
            let peak =
                (bytes / windows).mul_add(burst.mul_add(noise.even(), 1.2), 1500.0 * noise.even());
            most = if packets <= 1.0 { bytes } else { peak.max(most).min(bytes) };
            most as u32
        });
        PointCounts {
            bytes: Bytes(bytes as u64),
            packets: Packets(packets as u64),
            captured: Packets(captured as u64),
            peak_1ms_bytes: peaks[0],
            peak_10ms_bytes: peaks[1],
        }
    }
}
