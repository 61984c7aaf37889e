//! Talkers: who sent or received how much over one NIC and interval, with a stated error.
//!
//! A list names the largest talkers. Everything else is the rest: the total less the entries, so a list
//! always adds up to the total of the NIC's samples over the same interval.

use std::net::{IpAddr, Ipv6Addr};

use rkyv::{Archive, Deserialize, Serialize};

use crate::amount::{Bytes, Packets};
use crate::id::NicName;
use crate::time::WallNs;

/// Most talkers in a list. A packed record stays below 10 kB.
pub const TALKERS_MAX: usize = 64;

/// Most owners in a record: one per talker of both lists.
pub const OWNERS_MAX: usize = 2 * TALKERS_MAX;

/// Longest name of an owner, bytes: a file name has at most 255 (`NAME_MAX`), and longer ones say no
/// more.
pub const OWNER_NAME_MAX: usize = 255;

/// Longest name of a process, bytes: `TASK_COMM_LEN` less the NUL.
pub const PROCESS_NAME_MAX: usize = 15;

/// Path of the root cgroup: what is in no other, on a host where nothing groups programs. An owner that is
/// called so is the host as a whole.
pub const ROOT_CGROUP: &str = "/";

/// Most records in a frame. With the longest names each has 50 kB.
pub const RECORDS_MAX: usize = 16;

/// The talkers of one NIC in one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Talkers {
    /// Name of the NIC.
    pub nic: NicName,
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the interval in nanoseconds.
    pub interval_ns: u64,
    /// Why the record was made, a [`TalkersKind`].
    pub kind: u8,
    /// Who sent what was received.
    pub rx: TalkerList,
    /// Who was sent what was transmitted.
    pub tx: TalkerList,
    /// Owners that the talkers refer to.
    pub owners: Vec<TalkerOwner>,
}

/// Why a record of talkers was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TalkersKind {
    /// Every minute. Together these cover all the time of a NIC.
    Minute = 0,
    /// A sample broke a threshold. Covers the interval of that sample, which a record of the kind
    /// [`TalkersKind::Minute`] covers as well.
    Moment = 1,
}

impl TalkersKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Minute, Self::Moment];

    /// The kind with this number, if known.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Its name, as JSON and files have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Moment => "moment",
        }
    }
}

/// The talkers of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct TalkerList {
    /// Bytes on the wire of all talkers: those of the NIC's samples over the same interval.
    pub total_bytes: Bytes,
    /// Packets on the wire of all talkers.
    pub total_packets: Packets,
    /// The true bytes of each talker lie between its bytes and this much more.
    pub error_bytes: Bytes,
    /// The true bytes of a talker that is not listed are at most this. Never below the error.
    pub unlisted_bytes: Bytes,
    /// Estimated number of different talkers.
    pub distinct: u64,
    /// The standard error of that estimate; of merged lists, half the width of what is possible.
    pub distinct_error: u64,
    /// The largest talkers, most bytes first.
    pub talkers: Vec<Talker>,
}

/// One talker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Talker {
    /// Who.
    pub key: TalkerKey,
    /// At least this many bytes on the wire; at most the list's error more.
    pub bytes: Bytes,
    /// At least this many packets on the wire.
    pub packets: Packets,
    /// The process or service on this host that had the traffic: 1 for the first of the record's
    /// owners, 0 if that is unknown.
    pub owner: u16,
}

/// What a talker is told apart by.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
)]
pub struct TalkerKey {
    /// What the other fields mean, a [`KeyKind`].
    pub kind: u8,
    /// Protocol number of IP; 0 without IP.
    pub protocol: u8,
    /// Port of the service; 0 without one. Of another network protocol, its EtherType.
    pub port: u16,
    /// The remote end; an IPv4 address as `::ffff:a.b.c.d`; zero without IP.
    pub address: [u8; 16],
    /// The other end of forwarded traffic: its destination if received, its source if transmitted. Zero
    /// if that is this host.
    pub other: [u8; 16],
}

/// What a key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// Traffic of a service at the remote end.
    RemoteService = 0,
    /// Traffic of a service of this host, or at the other end of forwarded traffic.
    LocalService = 1,
    /// IP without a service's port: other protocols, and fragments after the first.
    NoPort = 2,
    /// ICMP and ICMPv6.
    Icmp = 3,
    /// ARP.
    Arp = 4,
    /// Another network protocol, by its EtherType.
    EtherType = 5,
    /// Packets with headers that can't be read.
    Unparsed = 6,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::RemoteService,
        Self::LocalService,
        Self::NoPort,
        Self::Icmp,
        Self::Arp,
        Self::EtherType,
        Self::Unparsed,
    ];

    /// The kind with this number, if known.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The name of the kind with this number, as JSON and files have it.
    #[must_use]
    pub fn name_of(number: u8) -> &'static str {
        match Self::of(number) {
            Some(Self::RemoteService) => "remote_service",
            Some(Self::LocalService) => "local_service",
            Some(Self::NoPort) => "no_port",
            Some(Self::Icmp) => "icmp",
            Some(Self::Arp) => "arp",
            Some(Self::EtherType) => "ethertype",
            // Nobody takes or keeps another kind.
            Some(Self::Unparsed) | None => "unparsed",
        }
    }
}

/// Part of a host that has sockets.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Archive, Serialize, Deserialize,
)]
pub struct TalkerOwner {
    /// What the name is of, an [`OwnerKind`].
    pub kind: u8,
    /// Name of the unit, id of the container or pod, path of the cgroup, or empty; at most
    /// [`OWNER_NAME_MAX`] bytes.
    pub name: String,
    /// Name of the process; empty if unknown; at most [`PROCESS_NAME_MAX`] bytes.
    pub process: String,
}

/// What an owner's name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OwnerKind {
    /// A unit of systemd: a service or scope.
    Unit = 0,
    /// A container.
    Container = 1,
    /// A pod of Kubernetes.
    Pod = 2,
    /// Another control group.
    Cgroup = 3,
    /// Only the process is known.
    Process = 4,
    /// The kernel itself, which has sockets of its own (NFS, `WireGuard`).
    Kernel = 5,
}

impl OwnerKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Unit, Self::Container, Self::Pod, Self::Cgroup, Self::Process, Self::Kernel];

    /// The kind with this number, if known.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The name of the kind with this number, as JSON and files have it.
    #[must_use]
    pub fn name_of(number: u8) -> &'static str {
        match Self::of(number) {
            Some(Self::Unit) => "unit",
            Some(Self::Container) => "container",
            Some(Self::Pod) => "pod",
            Some(Self::Process) => "process",
            Some(Self::Kernel) => "kernel",
            Some(Self::Cgroup) | None => "cgroup",
        }
    }
}

/// Why talkers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TalkersError {
    /// Too many talkers.
    #[error("more than {TALKERS_MAX} talkers in a list")]
    TooMany,
    /// Too many owners.
    #[error("more than {OWNERS_MAX} owners in a record of talkers")]
    TooManyOwners,
    /// An unknown kind of record.
    #[error("a record of talkers is of an unknown kind")]
    Kind,
    /// An unknown kind of key.
    #[error("a talker's key is of an unknown kind")]
    KeyKind,
    /// An owner of an unknown kind, or whose name is too long or contains NUL.
    #[error("a talker's owner is of an unknown kind, or its name is too long or contains NUL")]
    Owner,
    /// An owner that is not in the record.
    #[error("a talker's owner is not in the record")]
    NoOwner,
    /// The entries exceed the total.
    #[error("talkers have more than their total")]
    AboveTotal,
    /// The bound of unlisted talkers is below the error.
    #[error("unlisted talkers have less than the error")]
    Unlisted,
    /// Two entries of one key.
    #[error("a talker is listed twice")]
    Twice,
    /// Not the largest first.
    #[error("the largest talker is not the first")]
    Order,
    /// A figure beyond the database's signed 64-bit numbers.
    #[error("a figure of talkers above 2^63 - 1")]
    TooLarge,
}

/// An address of a key as it is shown: IPv4 in its own form; `None` for zero.
#[must_use]
pub fn address_of(bytes: [u8; 16]) -> Option<IpAddr> {
    (bytes != [0; 16]).then(|| Ipv6Addr::from(bytes).to_canonical())
}

/// An address as a key holds it.
#[must_use]
pub const fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

impl TalkerList {
    /// What no entry names: the total less the entries.
    #[must_use]
    pub fn rest(&self) -> (Bytes, Packets) {
        let bytes = self.talkers.iter().map(|it| it.bytes).fold(Bytes(0), Bytes::saturating_add);
        let packets =
            self.talkers.iter().map(|it| it.packets).fold(Packets(0), Packets::saturating_add);
        (
            Bytes(self.total_bytes.get() - bytes.get()),
            Packets(self.total_packets.get() - packets.get()),
        )
    }

    fn check(&self, owners: usize) -> Result<(), TalkersError> {
        if self.talkers.len() > TALKERS_MAX {
            return Err(TalkersError::TooMany);
        }
        let figures = [self.total_bytes, self.error_bytes, self.unlisted_bytes].map(Bytes::get);
        let counts = [self.total_packets.get(), self.distinct, self.distinct_error];
        if figures.into_iter().chain(counts).any(|figure| figure > i64::MAX as u64) {
            return Err(TalkersError::TooLarge);
        }
        if self.unlisted_bytes < self.error_bytes {
            return Err(TalkersError::Unlisted);
        }
        let mut left = (self.total_bytes.get(), self.total_packets.get());
        for talker in &self.talkers {
            if KeyKind::of(talker.key.kind).is_none() {
                return Err(TalkersError::KeyKind);
            }
            if usize::from(talker.owner) > owners {
                return Err(TalkersError::NoOwner);
            }
            let less =
                |left: u64, part: u64| left.checked_sub(part).ok_or(TalkersError::AboveTotal);
            left = (less(left.0, talker.bytes.get())?, less(left.1, talker.packets.get())?);
        }
        let keys: std::collections::BTreeSet<_> = self.talkers.iter().map(|it| it.key).collect();
        if keys.len() < self.talkers.len() {
            return Err(TalkersError::Twice);
        }
        if self.talkers.is_sorted_by(|a, b| a.bytes >= b.bytes) {
            Ok(())
        } else {
            Err(TalkersError::Order)
        }
    }
}

impl Talkers {
    /// Checks constraints beyond the types, except those of the interval.
    ///
    /// # Errors
    /// [`TalkersError`] names the violation.
    pub(crate) fn check(&self) -> Result<(), TalkersError> {
        if TalkersKind::of(self.kind).is_none() {
            return Err(TalkersError::Kind);
        }
        if self.owners.len() > OWNERS_MAX {
            return Err(TalkersError::TooManyOwners);
        }
        for owner in &self.owners {
            let fits =
                owner.name.len() <= OWNER_NAME_MAX && owner.process.len() <= PROCESS_NAME_MAX;
            // Databases don't accept NUL.
            let is_text = !owner.name.contains('\0') && !owner.process.contains('\0');
            if OwnerKind::of(owner.kind).is_none() || !fits || !is_text {
                return Err(TalkersError::Owner);
            }
        }
        self.rx.check(self.owners.len())?;
        self.tx.check(self.owners.len())
    }
}
