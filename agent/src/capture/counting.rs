//! From a ring's packets to its bank of slots: each packet is counted in the interval that its own
//! timestamp names.

use std::sync::Arc;
use std::time::Duration;

use super::count::count;
use super::ring::Packet;
use crate::account::burst::{Bursts, Peaks};
use crate::account::clock::{PacketClock, Reading};
use crate::account::counters::{Bank, Tally};
use crate::account::interval::{Attribution, SharedSchedule};

/// Counts the packets of one ring, block by block.
#[derive(Debug)]
pub struct Counting {
    bank: Arc<Bank>,
    schedule: Arc<SharedSchedule>,
    /// Version of the schedule in `attribution`.
    version: u64,
    attribution: Attribution,
    clock: PacketClock,
    /// Until a packet has come from after this boot time, what is older is early.
    begin_ns: Option<u64>,
    /// The slot whose peaks are being tracked.
    slot: u64,
    /// Of rx and tx.
    bursts: [Bursts; 2],
}

impl Counting {
    /// Starts with a bank whose oldest open slot is `slot`, at a reading of the clocks. The kernel
    /// holds packets back for at most `hold`. What is older than `begin_ns`, a boot time, is not
    /// counted: other packets of that time never came to the ring.
    #[must_use]
    pub fn new(
        bank: Arc<Bank>,
        schedule: Arc<SharedSchedule>,
        slot: u64,
        reading: Reading,
        hold: Duration,
        begin_ns: u64,
    ) -> Self {
        let (version, current) = schedule.get();
        Self {
            bank,
            schedule,
            version,
            attribution: Attribution::new(current),
            clock: PacketClock::new(reading, hold),
            begin_ns: Some(begin_ns),
            slot,
            bursts: [Bursts::default(), Bursts::default()],
        }
    }

    /// Counts the packets of a block; `reading` was made after it was handed over.
    pub fn count<'block>(
        &mut self,
        packets: impl Iterator<Item = Packet<'block>>,
        reading: Reading,
    ) {
        self.clock.at_block(reading);
        self.attribution.at_block(self.bank.enter());
        if self.schedule.is_newer(self.version) {
            let (version, schedule) = self.schedule.get();
            self.version = version;
            self.attribution.reschedule(schedule);
        }
        let mut tally = Tally::default();
        let mut last_ns = 0;
        for packet in packets {
            let boot_ns = self.clock.boot_ns(packet.time_ns);
            last_ns = boot_ns;
            let place = self.attribution.place(boot_ns);
            if place.slot != self.slot {
                self.add(&mut tally);
                self.slot = place.slot;
                self.bursts.iter_mut().for_each(Bursts::restart);
            }
            if let Some(begin_ns) = self.begin_ns {
                if boot_ns < begin_ns {
                    tally.early += 1;
                    continue;
                }
                self.begin_ns = None;
            }
            tally.late += u64::from(place.late);
            let (bytes, outgoing) = count(&packet, &mut tally);
            self.bursts[usize::from(outgoing)].add(boot_ns, bytes);
        }
        self.add(&mut tally);
        self.bank.leave(last_ns);
    }

    /// No block is ready at this reading.
    pub fn at_idle(&mut self, reading: Reading) {
        self.clock.at_idle(reading);
    }

    /// Adds what was counted to its slot. An empty tally touches no slot, so that it doesn't
    /// matter if the last packet's was sealed since.
    fn add(&mut self, tally: &mut Tally) {
        let [rx, tx] = &mut self.bursts;
        for (traffic, bursts) in [(&mut tally.rx, rx), (&mut tally.tx, tx)] {
            let Peaks { of_1ms, of_10ms } = bursts.peaks();
            (traffic.peak_1ms_bytes, traffic.peak_10ms_bytes) = (of_1ms, of_10ms);
        }
        self.bank.add(self.slot, tally);
        *tally = Tally::default();
    }
}
