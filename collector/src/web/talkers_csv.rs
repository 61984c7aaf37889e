//! Talkers as CSV. What comes from hosts runs in no spreadsheet.

use std::net::IpAddr;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::talkers_view::{AmountView, DirectionName, FoundView, OwnerView, TalkersView};
use crate::spreadsheet::{guarded, table};

const COLUMNS: [&str; 21] = [
    "what",
    "client",
    "nic",
    "direction",
    "from",
    "to",
    "covered_ns",
    "address",
    "other",
    "host",
    "kind",
    "protocol",
    "port",
    "owner_kind",
    "owner",
    "process",
    "bytes",
    "error_bytes",
    "packets",
    "percent_of_nic",
    "percent_of_link",
];

/// A line for each talker, for what is unattributed, for the rest and for the total.
pub(super) fn of_nic(view: &TalkersView) -> Response {
    let line = |what: &str, amount: &AmountView, error: String, who: [String; 9]| {
        let [address, other, host, kind, protocol, port, owner_kind, owner, process] = who;
        [
            what.to_owned(),
            guarded(&view.client),
            guarded(&view.nic),
            direction_name(view.direction).to_owned(),
            view.from.to_string(),
            view.to.to_string(),
            view.covered_ns.to_string(),
            address,
            other,
            host,
            kind,
            protocol,
            port,
            owner_kind,
            owner,
            process,
            amount.bytes.to_string(),
            error,
            amount.packets.to_string(),
            percent(amount.bytes.get(), view.total.bytes.get()),
            percent_of_link(view, amount.bytes.get()),
        ]
    };
    let named = view.talkers.iter().map(|it| {
        let owner = it.owner.as_ref();
        let text = |of: fn(&OwnerView) -> &str| owner.map(of).map(guarded).unwrap_or_default();
        let who = [
            address(it.address),
            address(it.other),
            it.host.as_deref().map(guarded).unwrap_or_default(),
            it.kind.unwrap_or_default().to_owned(),
            it.protocol.map(|it| it.to_string()).unwrap_or_default(),
            it.port.map(|it| it.to_string()).unwrap_or_default(),
            text(|it| it.kind),
            text(|it| &it.name),
            text(|it| &it.process),
        ];
        line("talker", &it.amount, it.error_bytes.to_string(), who)
    });
    let others =
        [("unattributed", &view.unattributed), ("rest", &view.rest), ("total", &view.total)];
    let others = others.map(|(what, amount)| line(what, amount, String::new(), Default::default()));
    csv(table(COLUMNS, named.chain(others)))
}

/// A line for each NIC and direction.
pub(super) fn of_search(found: &[FoundView]) -> Response {
    let columns = [
        "client",
        "alias",
        "nic",
        "direction",
        "bytes",
        "error_bytes",
        "packets",
        "records",
        "first",
        "last",
    ];
    let lines = found.iter().map(|it| {
        [
            guarded(&it.client),
            it.alias.as_deref().map(guarded).unwrap_or_default(),
            guarded(&it.nic),
            direction_name(it.direction).to_owned(),
            it.amount.bytes.to_string(),
            it.error_bytes.to_string(),
            it.amount.packets.to_string(),
            it.records.to_string(),
            it.first.to_string(),
            it.last.to_string(),
        ]
    });
    csv(table(columns, lines))
}

fn address(address: Option<IpAddr>) -> String {
    address.map(|it| it.to_string()).unwrap_or_default()
}

const fn direction_name(direction: DirectionName) -> &'static str {
    match direction {
        DirectionName::Rx => "rx",
        DirectionName::Tx => "tx",
    }
}

/// What the link could have carried in the time.
fn percent_of_link(view: &TalkersView, bytes: u64) -> String {
    let Some(speed) = view.speed_bits_per_second else { return String::new() };
    let bits = u128::from(speed) * u128::from(view.covered_ns) / 1_000_000_000;
    percent(bytes, u64::try_from(bits / 8).unwrap_or(u64::MAX))
}

#[allow(clippy::cast_precision_loss, reason = "three decimals of a percentage")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.3}", part as f64 * 100.0 / whole as f64) }
}

/// A file with a table.
fn csv(text: String) -> Response {
    ([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response()
}
