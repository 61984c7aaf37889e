//! What messages say of talkers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use settings::{Foreign, Interval};
use wire::Bytes;
use wire::talkers::{KeyKind, OwnerKind, address_of};

use super::seen_talkers::{SeenList, SeenRecord, SeenTalker};
use crate::talker_words::{has_port, has_protocol, key_words, owner_words};
use crate::time::Time;

/// Who had the traffic of a NIC and direction at the time of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertTalkers {
    /// `moment`: of the sample itself, or of a later one of the same trouble. `minute`: of the last minute.
    pub kind: String,
    /// `rx` or `tx`.
    pub direction: String,
    /// Start of the interval, by the client's clock.
    pub from: Time,
    /// Its length.
    pub seconds: f64,
    /// Of all talkers.
    pub total_bytes: Bytes,
    /// Each talker has at most this many bytes more.
    pub error_bytes: Bytes,
    /// The largest, the most bytes first.
    pub top: Vec<AlertTalker>,
}

/// A talker, with the fields that the API has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertTalker {
    /// The talker in words.
    pub name: String,
    /// What it is told apart by: `remote_service`, `local_service`, `icmp` and so on.
    pub kind: String,
    /// The remote end.
    pub address: Option<String>,
    /// The other end of forwarded traffic.
    pub other: Option<String>,
    /// Protocol number of IP.
    pub protocol: Option<u8>,
    /// The port.
    pub port: Option<u16>,
    /// Whose it is on the client, if that is known.
    pub owner: Option<AlertOwner>,
    /// At least this many bytes.
    pub bytes: Bytes,
    /// Of all bytes.
    pub percent: f64,
}

/// Part of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertOwner {
    /// `unit`, `container`, `pod`, `cgroup`, `process` or `kernel`.
    pub kind: String,
    /// Its name or id.
    pub name: String,
    /// Name of the process.
    pub process: String,
}

impl AlertTalkers {
    /// Those of a direction; of one that isn't told, that with more bytes. `None` if there was no traffic.
    #[must_use]
    pub fn new(record: &SeenRecord, direction: &str) -> Option<Self> {
        let larger = if record.tx.total_bytes > record.rx.total_bytes { "tx" } else { "rx" };
        let direction = if direction.is_empty() { larger } else { direction };
        let list = if direction == "tx" { &record.tx } else { &record.rx };
        if list.top.is_empty() {
            return None;
        }
        Some(Self {
            kind: record.kind.name().to_owned(),
            direction: direction.to_owned(),
            from: Time(record.start_ns),
            seconds: Duration::from_nanos(record.interval_ns).as_secs_f64(),
            total_bytes: list.total_bytes,
            error_bytes: list.error_bytes,
            top: list.top.iter().map(|it| AlertTalker::new(it, list)).collect(),
        })
    }

    /// All in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let length = Interval(Duration::from_secs_f64(self.seconds.clamp(0.0, 1e6)));
        let of = match self.kind.as_str() {
            "moment" => format!("talkers of these {length}"),
            _ => "talkers of the last minute".to_owned(),
        };
        let each = self.top.iter().map(|it| format!("{} {:.0} %", it.name, it.percent));
        format!("{of}: {}", each.collect::<Vec<_>>().join("; "))
    }
}

impl AlertTalker {
    fn new(SeenTalker { key, bytes, owner }: &SeenTalker, list: &SeenList) -> Self {
        let text = |address| address_of(address).map(|it| it.to_string());
        let whose = owner.as_ref().map(|it| format!(", {}", Foreign(&owner_words(it))));
        Self {
            name: format!("{}{}", key_words(key), whose.unwrap_or_default()),
            kind: KeyKind::name_of(key.kind).to_owned(),
            address: text(key.address),
            other: text(key.other),
            protocol: has_protocol(key.kind).then_some(key.protocol),
            port: has_port(key.kind).then_some(key.port),
            owner: owner.as_ref().map(|it| AlertOwner {
                kind: OwnerKind::name_of(it.kind).to_owned(),
                name: it.name.clone(),
                process: it.process.clone(),
            }),
            bytes: *bytes,
            percent: percent(bytes.get(), list.total_bytes.get()),
        }
    }
}

/// With one decimal.
#[allow(clippy::cast_precision_loss, reason = "one decimal of a percentage")]
fn percent(part: u64, whole: u64) -> f64 {
    (part as f64 * 1000.0 / whole.max(1) as f64).round() / 10.0
}
