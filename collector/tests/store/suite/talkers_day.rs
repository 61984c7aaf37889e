//! A day of talkers of a NIC, to measure what it takes.

use wire::WallNs;
use wire::talkers::{OwnerKind, TalkerOwner, Talkers, address_bytes};

use super::talkers::{list, minute, owner, talker};
use crate::batches::{MINUTE, START};

/// Where the talkers of a day are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FarEnds {
    /// A quarter by IPv6, the others by IPv4.
    Both,
    /// By IPv6, in networks of one /32, with small numbers.
    OnePrefix,
    /// By IPv6, with nothing in common.
    Anywhere,
}

impl FarEnds {
    pub const ALL: [Self; 3] = [Self::Both, Self::OnePrefix, Self::Anywhere];

    /// Most bytes that a day of a NIC takes in a store, indexes included.
    pub const fn most(self) -> i64 {
        match self {
            Self::Both | Self::OnePrefix => 2_000_000,
            Self::Anywhere => 2_500_000,
        }
    }

    fn address(self, at: u64, mixed: u64) -> [u8; 16] {
        let [_, b, c, d, e, ..] = mixed.to_be_bytes();
        let (a, b) = (u16::from_be_bytes([b, c]), u16::from_be_bytes([d, e]));
        let text = match (self, at % 4) {
            (Self::Both, 1..) => format!("198.{}.{}.{}", a >> 8, a & 255, b & 255),
            (Self::Anywhere, _) => {
                let other = mixed.wrapping_mul(0xd134_2543_de82_ef95);
                let address = u128::from(mixed) << 64 | u128::from(other);
                return (1 << 125 | address >> 3).to_be_bytes();
            }
            _ => format!("2001:db8:{a:x}::{b:x}"),
        };
        address_bytes(text.parse().unwrap())
    }
}

/// A day from a time on of `eth0`: 16 talkers each way and minute, with the names of real owners, other hosts
/// each minute.
pub fn day(from_ns: u64, far: FarEnds) -> Vec<Talkers> {
    let owners = (0..6).flat_map(|n| {
        let id = format!("{n:064x}");
        [
            owner(OwnerKind::Unit, &format!("systemd-something@{n}.service")),
            owner(OwnerKind::Container, &id),
        ]
    });
    let owners: Vec<TalkerOwner> = owners.collect();
    let record = |n: u64| {
        let entries = |of: u64| {
            let one = |at: u64| {
                // Spread like digits of a hash.
                let mixed = (n * 97 + at * 13 + of).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let [_, b, c, d, e, ..] = mixed.to_be_bytes();
                let bytes = 4_000_000_000 / (at + 1) - u64::from(u16::from_be_bytes([d, e]));
                let owner = u16::try_from(mixed % 13).unwrap();
                let mut one = talker("::", u16::from_be_bytes([b, c]) | 1, bytes, owner);
                one.key.address = far.address(at, mixed);
                one
            };
            list((0..16).map(one).collect(), 10_000_000)
        };
        Talkers { rx: entries(0), tx: entries(7), owners: owners.clone(), ..minute(START, 0) }
    };
    (0..1440).map(|n| Talkers { start_ns: WallNs(from_ns + n * MINUTE), ..record(n) }).collect()
}
