//! Lines of talkers.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;
use tokio::sync::mpsc;
use wire::talkers::{KeyKind, OwnerKind, TalkersKind, address_of};
use wire::{Bytes, Packets};

use super::lines::{Exported, Lines};
use crate::spreadsheet::guarded;
use crate::store::ExportList;
use crate::talker_words::{has_port, has_protocol};
use crate::time::Time;

/// One line: an entry of a list, or its rest. The lines of one list add up to what the NIC carried.
#[derive(Debug, Serialize)]
struct TalkerLine<'a> {
    time: Time,
    client: &'a str,
    nic: Cow<'a, str>,
    /// Of a minute, or of a moment within one.
    kind: &'static str,
    interval_ns: u64,
    direction: &'static str,
    entry: &'static str,
    key_kind: Option<&'static str>,
    address: Option<IpAddr>,
    other: Option<IpAddr>,
    protocol: Option<u8>,
    port: Option<u16>,
    owner_kind: Option<&'static str>,
    owner: Option<Cow<'a, str>>,
    process: Option<Cow<'a, str>>,
    bytes: Bytes,
    packets: Packets,
    /// An entry had at most this many bytes more; one that is not listed had at most `unlisted_bytes`.
    error_bytes: Option<Bytes>,
    unlisted_bytes: Bytes,
    distinct: u64,
    distinct_error: u64,
}

/// The columns of CSV.
const COLUMNS: [&str; 21] = [
    "time",
    "client",
    "nic",
    "kind",
    "interval_ns",
    "direction",
    "entry",
    "key_kind",
    "address",
    "other",
    "protocol",
    "port",
    "owner_kind",
    "owner",
    "process",
    "bytes",
    "packets",
    "error_bytes",
    "unlisted_bytes",
    "distinct",
    "distinct_error",
];

/// Writes lists as they come.
pub(super) async fn write(
    client: &str,
    guards: bool,
    mut lines: Lines<impl Write>,
    mut receiver: mpsc::Receiver<Vec<ExportList>>,
) -> io::Result<Exported> {
    let mut exported = Exported::default();
    while let Some(lists) = receiver.recv().await {
        for list in &lists {
            let Some(of_list) = lines_of(client, list, guards) else {
                exported.unreadable += 1;
                continue;
            };
            for line in of_list {
                lines.write(&line)?;
                exported.rows += 1;
            }
        }
    }
    lines.finish(exported.rows, COLUMNS)?;
    Ok(exported)
}

/// The lines of a list; `None` if it can't be read.
fn lines_of<'a>(
    client: &'a str,
    given: &'a ExportList,
    guards: bool,
) -> Option<Vec<TalkerLine<'a>>> {
    let stored = given.list.as_ref().ok()?;
    let list = &stored.list;
    let (bytes, packets) = list.rest();
    let rest = || TalkerLine {
        time: Time(given.start_ns),
        client,
        nic: cell(&given.nic, guards),
        kind: TalkersKind::of(stored.kind).map_or("unknown", TalkersKind::name),
        interval_ns: stored.interval_ns,
        direction: stored.direction.name(),
        entry: "rest",
        key_kind: None,
        address: None,
        other: None,
        protocol: None,
        port: None,
        owner_kind: None,
        owner: None,
        process: None,
        bytes,
        packets,
        error_bytes: None,
        unlisted_bytes: list.unlisted_bytes,
        distinct: list.distinct,
        distinct_error: list.distinct_error,
    };
    let text = |text: &'a str| Some(text).filter(|it| !it.is_empty()).map(|it| cell(it, guards));
    let talkers = list.talkers.iter().map(|talker| {
        let key = &talker.key;
        let owner = usize::from(talker.owner).checked_sub(1);
        let owner = owner.and_then(|at| given.owners.get(at)).and_then(Option::as_ref);
        TalkerLine {
            entry: "talker",
            key_kind: Some(KeyKind::name_of(key.kind)),
            address: address_of(key.address),
            other: address_of(key.other),
            protocol: has_protocol(key.kind).then_some(key.protocol),
            port: has_port(key.kind).then_some(key.port),
            owner_kind: owner.map(|owner| OwnerKind::name_of(owner.kind)),
            owner: owner.and_then(|owner| text(&owner.name)),
            process: owner.and_then(|owner| text(&owner.process)),
            bytes: talker.bytes,
            packets: talker.packets,
            error_bytes: Some(list.error_bytes),
            ..rest()
        }
    });
    Some(talkers.chain([rest()]).collect())
}

fn cell(text: &str, guards: bool) -> Cow<'_, str> {
    if guards { Cow::Owned(guarded(text)) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use wire::WallNs;
    use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, address_bytes};

    use super::super::lines::ExportFormat;
    use super::*;
    use crate::store::rows::talker_entries::UnreadableTalkers;
    use crate::store::rows::talkers::TalkersDirection;
    use crate::store::rows::talkers::{OwnerId, StoredList};

    fn list() -> ExportList {
        let talker = |address: [u8; 4], bytes, owner| Talker {
            key: TalkerKey {
                protocol: 6,
                port: 443,
                address: address_bytes(address.into()),
                ..TalkerKey::default()
            },
            bytes: Bytes(bytes),
            packets: Packets(bytes / 10),
            owner,
        };
        let list = TalkerList {
            total_bytes: Bytes(1000),
            total_packets: Packets(101),
            error_bytes: Bytes(3),
            unlisted_bytes: Bytes(4),
            distinct: 7,
            distinct_error: 1,
            talkers: vec![talker([10, 0, 0, 1], 500, 1), talker([10, 0, 0, 2], 300, 2)],
        };
        let stored = StoredList {
            start_ns: WallNs(1_700_000_000_000_000_000),
            interval_ns: 60_000_000_000,
            kind: 0,
            direction: TalkersDirection::Tx,
            list,
            owners: vec![OwnerId(1), OwnerId(2)],
        };
        let owner = TalkerOwner { kind: 0, name: "=cmd".into(), process: String::new() };
        ExportList {
            nic: "eth0".into(),
            start_ns: stored.start_ns,
            list: Ok(stored),
            owners: vec![Some(owner), None],
        }
    }

    async fn written(
        lists: Vec<ExportList>,
        format: ExportFormat,
        guards: bool,
    ) -> (String, Exported) {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(lists).await.unwrap();
        drop(sender);
        let mut out = Vec::new();
        let done = write("web", guards, Lines::of(format, &mut out), receiver).await.unwrap();
        (String::from_utf8(out).unwrap(), done)
    }

    #[tokio::test]
    async fn lines_of_a_list_add_up_and_one_that_cannot_be_read_is_counted() {
        let damaged = ExportList { list: Err(UnreadableTalkers::Total), ..list() };
        let (csv, done) = written(vec![list(), damaged], ExportFormat::Csv, true).await;
        assert_eq!((done.rows, done.unreadable), (3, 1));
        assert!(done.warning().unwrap().starts_with("1 list of talkers is damaged"));
        let head = COLUMNS.join(",");
        let begin = "2023-11-14T22:13:20Z,web,eth0,minute,60000000000,tx";
        assert_eq!(
            csv.lines().collect::<Vec<_>>(),
            [
                head.clone(),
                format!("{begin},talker,remote_service,10.0.0.1,,6,443,unit,'=cmd,,500,50,3,4,7,1"),
                format!("{begin},talker,remote_service,10.0.0.2,,6,443,,,,300,30,3,4,7,1"),
                format!("{begin},rest,,,,,,,,,200,21,,4,7,1"),
            ]
        );
        let (raw, _) = written(vec![list()], ExportFormat::Csv, false).await;
        assert!(raw.contains(",unit,=cmd,"), "{raw}");
        let (none, done) = written(vec![], ExportFormat::Csv, true).await;
        assert_eq!((none.trim_end(), done.warning()), (head.as_str(), None));
        let (json, _) = written(vec![list()], ExportFormat::Jsonl, false).await;
        let lines = json.lines().map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap());
        assert_eq!(lines.map(|it| it["bytes"].as_u64().unwrap()).sum::<u64>(), 1000);
    }
}
