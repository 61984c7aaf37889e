//! `agent watch --talkers`: the talkers of each sample.

use std::io::{self, Write};

use serde_json::{Value, json};
use settings::units::bits_per_second;
use wire::Bytes;
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerList, TalkerOwner, Talkers, TalkersKind, address_of,
};
use wire::well_known::{protocol_name, service_name};

use crate::talkers::shown::{exactness, owner, owner_of, percent, service, who};

/// Talkers per sample and direction that people get.
const LINES: usize = 5;

/// Prints the largest talkers of a sample or minute, and the rest.
pub(super) fn text(record: &Talkers, out: &mut impl Write) -> io::Result<()> {
    let of = if is_minute(record) { "minute" } else { "" };
    for (direction, list) in [("rx", &record.rx), ("tx", &record.tx)] {
        if list.total_bytes == Bytes(0) {
            continue;
        }
        let mut line = |who: &str, service: &str, owner: &str, sum: Bytes| {
            let rate = bits_per_second(sum.get(), record.interval_ns);
            let share = percent(sum, list.total_bytes);
            writeln!(
                out,
                "{of:6} {direction}  {who:39} {service:24} {owner:32} {rate:>11} {share:>3} %"
            )
        };
        let mut rest = list.total_bytes;
        for talker in list.talkers.iter().take(LINES) {
            let owner = owner_of(talker, &record.owners).map_or_else(|| "-".to_owned(), owner);
            line(&who(&talker.key), &service(&talker.key), &owner, talker.bytes)?;
            rest = rest.saturating_sub(talker.bytes);
        }
        line("rest", "", &exactness(list), rest)?;
    }
    out.flush()
}

/// Prints the record as an object of its own.
pub(super) fn json(record: &Talkers, time: &str, out: &mut impl Write) -> io::Result<()> {
    let object = json!({
        "time": time,
        "interval_ns": record.interval_ns,
        "nic": record.nic.to_string(),
        "talkers_of": if is_minute(record) { "minute" } else { "sample" },
        "rx": list(&record.rx, &record.owners),
        "tx": list(&record.tx, &record.owners),
    });
    writeln!(out, "{object}")
}

fn is_minute(record: &Talkers) -> bool {
    record.kind == TalkersKind::Minute as u8
}

fn list(list: &TalkerList, owners: &[TalkerOwner]) -> Value {
    let (rest_bytes, rest_packets) = list.rest();
    json!({
        "total_bytes": list.total_bytes,
        "total_packets": list.total_packets,
        "rest_bytes": rest_bytes,
        "rest_packets": rest_packets,
        "error_bytes": list.error_bytes,
        "unlisted_bytes": list.unlisted_bytes,
        "distinct": list.distinct,
        "distinct_error": list.distinct_error,
        "talkers": list.talkers.iter().map(|it| talker(it, owners)).collect::<Vec<_>>(),
    })
}

fn talker(talker: &Talker, owners: &[TalkerOwner]) -> Value {
    let key = &talker.key;
    let has_port = [KeyKind::RemoteService, KeyKind::LocalService];
    let service = KeyKind::of(key.kind).filter(|kind| has_port.contains(kind));
    json!({
        "kind": KeyKind::name_of(key.kind),
        "address": address_of(key.address),
        "other": address_of(key.other),
        "protocol": (key.protocol > 0).then(|| protocol_name(key.protocol)),
        "port": (key.port > 0).then_some(key.port),
        "service": service.and_then(|_| service_name(key.protocol, key.port)),
        "bytes": talker.bytes,
        "packets": talker.packets,
        "owner": owner_of(talker, owners).map(|it| json!({
            "kind": OwnerKind::name_of(it.kind),
            "name": it.name,
            "process": it.process,
        })),
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use wire::Packets;
    use wire::id::NicName;
    use wire::talkers::{TalkerKey, address_bytes};

    use super::*;

    fn record() -> Talkers {
        let talker = |address: &str, bytes, owner| Talker {
            key: TalkerKey {
                protocol: 6,
                port: 443,
                address: address_bytes(address.parse::<IpAddr>().unwrap()),
                ..TalkerKey::default()
            },
            bytes: Bytes(bytes),
            packets: Packets(2),
            owner,
        };
        let rx = TalkerList {
            total_bytes: Bytes(1_000_000),
            total_packets: Packets(9),
            error_bytes: Bytes(1200),
            unlisted_bytes: Bytes(100_000),
            distinct: 12,
            talkers: vec![talker("198.51.100.7", 700_000, 1), talker("2001:db8::1", 200_000, 0)],
            ..TalkerList::default()
        };
        let owners =
            vec![TalkerOwner { kind: 0, name: "a\u{1b}.service".into(), process: "nginx".into() }];
        let (nic, kind) = (NicName::new("eth0").unwrap(), TalkersKind::Moment as u8);
        Talkers { nic, interval_ns: 500_000_000, kind, rx, owners, ..Talkers::default() }
    }

    #[test]
    fn people_get_a_line_per_talker_and_one_for_the_rest() {
        let mut out = Vec::new();
        text(&record(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            words,
            [
                r"rx 198.51.100.7 443/tcp https a\u001b.service (nginx) 11.2 Mbit/s 70 %",
                "rx 2001:db8::1 443/tcp https - 3.20 Mbit/s 20 %",
                "rx rest each up to 1.20 kB more; 12 talkers 1.60 Mbit/s 10 %",
            ]
        );
    }

    #[test]
    fn programs_get_every_figure_and_entries_and_rest_are_the_total() {
        let mut out = Vec::new();
        json(&record(), "2026-01-01T00:00:00Z", &mut out).unwrap();
        let object: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&object["nic"], &object["talkers_of"]), (&json!("eth0"), &json!("sample")));
        let rx = &object["rx"];
        let entries: u64 =
            rx["talkers"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap()).sum();
        assert_eq!(entries + rx["rest_bytes"].as_u64().unwrap(), 1_000_000);
        let expected = json!({
            "kind": "remote_service", "address": "198.51.100.7", "other": null, "protocol": "tcp",
            "port": 443, "service": "https", "bytes": 700_000, "packets": 2,
            "owner": {"kind": "unit", "name": "a\u{1b}.service", "process": "nginx"},
        });
        assert_eq!(rx["talkers"][0], expected);
        assert_eq!(rx["talkers"][1]["owner"], Value::Null);
        assert_eq!((&rx["error_bytes"], &object["tx"]["total_bytes"]), (&json!(1200), &json!(0)));
    }
}
