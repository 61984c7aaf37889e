//! Talkers as the API shows them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::talkers::{KeyKind, OwnerKind, TalkerOwner, address_of};
use wire::{Bytes, Packets};

use super::names::{AddressNames, NameLookup};
use crate::store::{
    Direction, GroupedTalker, GroupedTalkers, TalkerAmount, TalkerGroup, TalkersBucket, TalkersBy,
    TalkersRange,
};
use crate::talker_words::{has_port, has_protocol};
use crate::time::Time;

/// The talkers of a NIC and direction. `talkers`, `unattributed` and `rest` add up to `total`, which is what
/// the NIC's samples of the same time add up to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TalkersView {
    pub client: String,
    pub nic: String,
    pub direction: DirectionName,
    pub by: ByName,
    /// Which records these are.
    pub kind: RecordKind,
    /// Start of the first record; may be before the range.
    pub from: Time,
    /// End of the last record; may be after the range.
    pub to: Time,
    /// Time that the records cover, nanoseconds.
    pub covered_ns: u64,
    /// Number of records that are damaged: what they hold is missing in all figures. `collector fsck` says
    /// which.
    pub unreadable: u64,
    /// Speed of the link now; `null` if it is unknown or the NIC has none of its own.
    pub speed_bits_per_second: Option<u64>,
    /// All traffic.
    pub total: AmountView,
    /// Estimated number of different talkers by `key`.
    pub distinct: u64,
    /// The estimate may be wrong by this much.
    pub distinct_error: u64,
    /// Nothing that is not in `talkers` has more bytes, except what is unattributed.
    #[schema(value_type = u64)]
    pub unlisted_bytes: Bytes,
    /// The largest, the most bytes first.
    pub talkers: Vec<TalkerView>,
    /// What is listed without an owner: of `by=owner` only.
    pub unattributed: AmountView,
    /// All other traffic.
    pub rest: AmountView,
    /// The same over time, oldest first. None where nothing is known.
    pub intervals: Vec<IntervalView>,
    /// Whether names are looked up, and known.
    pub names: NamesState,
}

/// Which records talkers were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RecordKind {
    /// Those of minutes.
    Minute,
    /// That of a sample that broke a threshold.
    Moment,
}

/// Bytes and packets on the wire.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct AmountView {
    #[schema(value_type = u64)]
    pub bytes: Bytes,
    #[schema(value_type = u64)]
    pub packets: Packets,
}

/// A talker, or several together. What they are not told apart by is `null`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TalkerView {
    /// At least this many bytes and packets.
    #[serde(flatten)]
    pub amount: AmountView,
    /// At most this many bytes more.
    #[schema(value_type = u64)]
    pub error_bytes: Bytes,
    /// `remote_service` and `local_service` (the port is at the other end or at this host), `no_port` (other
    /// protocols of IP, fragments), `icmp`, `arp`, `ethertype`, `unparsed`.
    pub kind: Option<&'static str>,
    /// The remote end.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The other end of forwarded traffic.
    #[schema(value_type = Option<String>)]
    pub other: Option<IpAddr>,
    /// Name of the address, as the collector's resolver says, unverified; if it was asked for and is known.
    pub host: Option<String>,
    /// Protocol number of IP.
    pub protocol: Option<u8>,
    /// The port; of `ethertype`, that.
    pub port: Option<u16>,
    /// Whose it is on the client.
    pub owner: Option<OwnerView>,
}

/// Part of a client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnerView {
    /// `unit`, `container`, `pod`, `cgroup`, `process` or `kernel`.
    pub kind: &'static str,
    /// Name of the unit, id of the container or pod, or path of the control group.
    pub name: String,
    /// Name of the process; empty if unknown.
    pub process: String,
}

/// The records that start in one interval. The total is the sum of the other figures of bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntervalView {
    time: Time,
    /// Time that its records cover, nanoseconds.
    interval_ns: u64,
    #[schema(value_type = u64)]
    total_bytes: Bytes,
    /// What each of the talkers had at least, in their order.
    #[schema(value_type = Vec<u64>)]
    talkers_bytes: Vec<Bytes>,
    #[schema(value_type = u64)]
    unattributed_bytes: Bytes,
    #[schema(value_type = u64)]
    rest_bytes: Bytes,
    /// Each of the talkers had at most this many bytes more.
    #[schema(value_type = u64)]
    error_bytes: Bytes,
}

/// Whether names of addresses are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamesState {
    /// `http.dns` is off.
    Off,
    /// Some are not known yet: ask again.
    Pending,
    /// Those that there are, are there; or none was asked for.
    Known,
}

/// Traffic of one NIC and direction with the address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundView {
    pub client: String,
    /// What its operator calls the client, if it is known here.
    pub alias: Option<String>,
    pub nic: String,
    pub direction: DirectionName,
    /// At least this many bytes and packets.
    #[serde(flatten)]
    pub amount: AmountView,
    /// At most this many bytes more, in the records that list the address.
    #[schema(value_type = u64)]
    pub error_bytes: Bytes,
    /// Number of records that list it.
    pub records: u64,
    /// Start of the first of them.
    pub first: Time,
    /// End of the last.
    pub last: Time,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DirectionName {
    Rx,
    Tx,
}

/// What talkers are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ByName {
    /// The remote end's address.
    Host,
    /// Protocol and port, at the remote end or at this host.
    Service,
    /// The unit, container, pod or process on the client.
    Owner,
    /// All of it: each talker on its own.
    Key,
}

/// How talkers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TalkersFormat {
    Json,
    Csv,
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Rx => Self::Rx,
            DirectionName::Tx => Self::Tx,
        }
    }
}

impl From<Direction> for DirectionName {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Rx => Self::Rx,
            Direction::Tx => Self::Tx,
        }
    }
}

impl From<ByName> for TalkersBy {
    fn from(name: ByName) -> Self {
        match name {
            ByName::Host => Self::Host,
            ByName::Service => Self::Service,
            ByName::Owner => Self::Owner,
            ByName::Key => Self::Key,
        }
    }
}

impl TalkersView {
    pub fn new(
        range: &TalkersRange,
        kind: RecordKind,
        found: GroupedTalkers,
        speed_bits_per_second: Option<u64>,
    ) -> Self {
        // A single record is one interval.
        let single = found.buckets.is_empty() && found.records > 0;
        let whole = single.then(|| IntervalView::of_all(&found));
        let intervals = found.buckets.iter().filter(|it| it.covered_ns > 0);
        let intervals = whole.into_iter().chain(intervals.map(IntervalView::of)).collect();
        Self {
            client: range.client.clone(),
            nic: range.nic.clone(),
            direction: range.direction.into(),
            by: range.by.into(),
            kind,
            from: Time(found.from_ns),
            to: Time(found.to_ns),
            covered_ns: found.covered_ns,
            unreadable: found.unreadable,
            speed_bits_per_second,
            total: found.total.into(),
            distinct: found.distinct,
            distinct_error: found.distinct_error,
            unlisted_bytes: found.unlisted_bytes,
            talkers: found.talkers.into_iter().map(TalkerView::from).collect(),
            unattributed: found.unattributed.into(),
            rest: found.rest.into(),
            intervals,
            names: NamesState::Off,
        }
    }

    /// Adds the names that are known, and has the others looked up. `on`: there is a resolver.
    pub fn add_names(&mut self, names: Option<&AddressNames>, on: bool) {
        self.names = if on { NamesState::Known } else { NamesState::Off };
        let Some(names) = names else { return };
        for talker in &mut self.talkers {
            let Some(address) = talker.address else { continue };
            match names.of(address) {
                NameLookup::Known(name) => talker.host = name,
                NameLookup::Pending => self.names = NamesState::Pending,
            }
        }
    }
}

impl IntervalView {
    fn of(bucket: &TalkersBucket) -> Self {
        Self {
            time: Time(bucket.start_ns),
            interval_ns: bucket.covered_ns,
            total_bytes: bucket.total_bytes,
            talkers_bytes: bucket.talkers.clone(),
            unattributed_bytes: bucket.unattributed_bytes,
            rest_bytes: bucket.rest_bytes,
            error_bytes: bucket.error_bytes,
        }
    }

    fn of_all(found: &GroupedTalkers) -> Self {
        Self {
            time: Time(found.from_ns),
            interval_ns: found.covered_ns,
            total_bytes: found.total.bytes,
            talkers_bytes: found.talkers.iter().map(|it| it.amount.bytes).collect(),
            unattributed_bytes: found.unattributed.bytes,
            rest_bytes: found.rest.bytes,
            error_bytes: found.talkers.iter().map(|it| it.error_bytes).max().unwrap_or_default(),
        }
    }
}

impl From<TalkerAmount> for AmountView {
    fn from(TalkerAmount { bytes, packets }: TalkerAmount) -> Self {
        Self { bytes, packets }
    }
}

impl From<TalkersBy> for ByName {
    fn from(by: TalkersBy) -> Self {
        match by {
            TalkersBy::Host => Self::Host,
            TalkersBy::Service => Self::Service,
            TalkersBy::Owner => Self::Owner,
            TalkersBy::Key => Self::Key,
        }
    }
}

impl From<GroupedTalker> for TalkerView {
    fn from(GroupedTalker { group, amount, error_bytes }: GroupedTalker) -> Self {
        let none = || Self {
            amount: amount.into(),
            error_bytes,
            kind: None,
            address: None,
            other: None,
            host: None,
            protocol: None,
            port: None,
            owner: None,
        };
        let service = |kind, protocol, port| Self {
            kind: Some(KeyKind::name_of(kind)),
            protocol: has_protocol(kind).then_some(protocol),
            port: has_port(kind).then_some(port),
            ..none()
        };
        match group {
            TalkerGroup::Host(address) => Self { address, ..none() },
            TalkerGroup::Service { kind, protocol, port } => service(kind, protocol, port),
            TalkerGroup::Owner(owner) => Self { owner: Some(owner.into()), ..none() },
            TalkerGroup::Key(key, owner) => Self {
                address: address_of(key.address),
                other: address_of(key.other),
                owner: owner.map(OwnerView::from),
                ..service(key.kind, key.protocol, key.port)
            },
        }
    }
}

impl From<TalkerOwner> for OwnerView {
    fn from(TalkerOwner { kind, name, process }: TalkerOwner) -> Self {
        Self { kind: OwnerKind::name_of(kind), name, process }
    }
}
