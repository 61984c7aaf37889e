//! The live table: counters saved by an earlier collector, and agents' messages. An input that starts
//! with a brace is a saved file. Any other is a sequence of messages, each preceded by its length in
//! two bytes.

use collector::live::Live;
use wire::WallNs;
use wire::codec::{Received, decode};
use wire::id::ClientId;
use wire::message::Message;

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "live",
    about: "saved counters, and agents' frames and inventories as they are shown (collector::live)",
    input_max: 32 * KIB,
    memory_max: 16 * MIB,
    run,
};

const NOW: u64 = 1_800_000_000_000_000_000;

fn run(input: &[u8]) {
    let live = Live::new();
    if input.starts_with(b"{") {
        restore(&live, input);
    } else {
        hear(&live, input);
    }
    show(&live);
}

/// Restored counters survive another save and restore.
fn restore(live: &Live, saved: &[u8]) {
    if live.restore(saved, WallNs(NOW)).is_err() {
        return;
    }
    let written = live.save().unwrap();
    let other = Live::new();
    other.restore(&written, WallNs(NOW)).expect("saved counters can be restored");
    let again = other.save().unwrap();
    let parsed = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).unwrap() };
    assert_eq!(parsed(&again), parsed(&written));
}

fn hear(live: &Live, mut input: &[u8]) {
    let client = ClientId::new("web-1").unwrap();
    let mut totals = Vec::new();
    while let Some((len, rest)) = input.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
        let (message, rest) = rest.split_at(len);
        input = rest;
        match decode(message) {
            Ok(Received::Frame(frame)) => live.observe(&client, &frame, WallNs(NOW)),
            Ok(Received::Message(Message::Inventory(it))) => live.on_inventory(&client, &it),
            Ok(Received::Message(Message::Hello(it))) => {
                live.on_connected(&client, &it.alias, &it.host, WallNs(NOW));
            }
            _ => live.on_disconnected(&client, WallNs(NOW)),
        }
        let now: Vec<_> = live.client(&client).into_iter().flat_map(|it| it.nics).collect();
        for (nic, before) in &totals {
            let nic = now.iter().find(|it| it.nic == *nic);
            let grown = |it: &collector::live::NicView| it.total.rx.bytes >= *before;
            assert!(nic.is_none_or(grown), "counters never go backwards");
        }
        totals = now.into_iter().map(|it| (it.nic, it.total.rx.bytes)).collect();
    }
}

/// Everything that pages, the API and a restart read.
fn show(live: &Live) {
    for view in live.snapshot() {
        let client = ClientId::new(&view.client).expect("a client's id");
        let _told = (live.client(&client), live.client_event(&client, WallNs(NOW)));
        serde_json::to_string(&view).expect("a view becomes JSON");
    }
    let _told = live.snapshot_event(WallNs(NOW));
    live.expire(WallNs(NOW));
    live.publish(WallNs(NOW));
    live.save().unwrap();
}
