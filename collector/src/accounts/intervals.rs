//! The 5-minute intervals of a cycle: what the NICs of an account carried in each of them together, and
//! the most that they may have carried beside. Pure.

use wire::Bytes;

use super::terms::{Basis, BillingRule};
use crate::store::{FIVE_MINUTES_NS, Volume, bits_per_second};

/// One interval of a cycle, all NICs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PooledInterval {
    /// Received.
    pub rx: Volume,
    /// Transmitted.
    pub tx: Volume,
    /// The longest measured time of any NIC, nanoseconds.
    pub covered_ns: u64,
    /// Something was measured, or should have been.
    pub expected: bool,
    /// Measured less than it should have been, all NICs together, nanoseconds.
    pub missing_ns: u64,
    /// What may have passed unmeasured.
    pub unseen: Unseen,
    /// Part of a longer time of which only the sums are known: what may have passed in this interval.
    pub unplaced: Unseen,
}

/// The most that may have passed beside what was counted, by direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unseen {
    /// Received, bytes.
    pub rx_bytes: Bytes,
    /// Transmitted, bytes.
    pub tx_bytes: Bytes,
    /// No bound is known: a NIC without a link speed.
    pub unbounded: bool,
}

impl Unseen {
    /// The most in each direction.
    pub const fn each(most: Option<Bytes>) -> Self {
        match most {
            Some(bytes) => Self { rx_bytes: bytes, tx_bytes: bytes, unbounded: false },
            None => Self { rx_bytes: Bytes(0), tx_bytes: Bytes(0), unbounded: true },
        }
    }

    /// All that passed was counted.
    pub fn is_nothing(self) -> bool {
        self.rx_bytes == Bytes(0) && self.tx_bytes == Bytes(0) && !self.unbounded
    }

    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            rx_bytes: self.rx_bytes.saturating_add(other.rx_bytes),
            tx_bytes: self.tx_bytes.saturating_add(other.tx_bytes),
            unbounded: self.unbounded || other.unbounded,
        }
    }
}

impl PooledInterval {
    /// Something was measured in it.
    pub const fn is_measured(&self) -> bool {
        self.covered_ns > 0
    }

    /// Everything expected was measured, and its place is known.
    fn is_whole(&self) -> bool {
        self.missing_ns == 0 && self.unseen.is_nothing() && self.unplaced.is_nothing()
    }

    /// Mean rates of both directions over the measured time, bit/s. `None`: nothing was measured.
    pub fn rates(&self, basis: Basis) -> Option<Rates> {
        let rate = |volume| bits_per_second(basis.of(volume), self.covered_ns);
        self.is_measured().then(|| Rates { rx: rate(self.rx), tx: rate(self.tx) })
    }

    /// The lowest rates that are possible: what was not measured was nothing.
    pub fn lowest(&self, basis: Basis) -> Rates {
        match self.rates(basis).filter(|_| self.is_whole()) {
            Some(rates) => rates,
            None => self.over_all(basis, Unseen::default()),
        }
    }

    /// The highest rates that are possible. `None`: no bound is known.
    pub fn highest(&self, basis: Basis) -> Option<Rates> {
        if let Some(rates) = self.rates(basis).filter(|_| self.is_whole()) {
            return Some(rates);
        }
        let most = self.unseen.plus(self.unplaced);
        (!most.unbounded).then(|| self.over_all(basis, most))
    }

    /// Rates over the interval's whole length.
    fn over_all(&self, basis: Basis, more: Unseen) -> Rates {
        let rate =
            |volume, more| bits_per_second(basis.of(volume).saturating_add(more), FIVE_MINUTES_NS);
        Rates { rx: rate(self.rx, more.rx_bytes), tx: rate(self.tx, more.tx_bytes) }
    }
}

/// Rates of both directions, bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    /// Received.
    pub rx: u64,
    /// Transmitted.
    pub tx: u64,
}

impl Rates {
    /// The rates that a rule ranks: one direction, both added up, or each direction for itself, of which
    /// the larger result counts.
    pub fn ranked(self, rule: BillingRule) -> [Option<u64>; 2] {
        match rule {
            BillingRule::Rx => [Some(self.rx), None],
            BillingRule::Tx => [Some(self.tx), None],
            BillingRule::Sum => [Some(self.rx.saturating_add(self.tx)), None],
            BillingRule::Max => [Some(self.rx), Some(self.tx)],
        }
    }
}
