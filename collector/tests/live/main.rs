//! The live table: counters, rates, and which clients and NICs appear or disappear.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hour;
mod nics;
mod presence;
mod rates;
mod restart;
mod subscribers;

use collector::live::{ClientView, GONE_NS, Live, NicView, PageEvent, Totals};
use collector::store::{ClientRange, Point, PointCounts, Registered, StoredMinutes};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::frame::{Counts, Frame, Sample, flags};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn web1() -> ClientId {
    ClientId::new("web-1").unwrap()
}

fn counts(bytes: u64, total: u64) -> Counts {
    Counts {
        bytes: Bytes(bytes),
        packets: Packets(bytes / 100),
        total_bytes: Bytes(total),
        total_packets: Packets(total / 100),
        peak_1ms_bytes: 50,
        ..Counts::default()
    }
}

/// Frame `seq` of a session, half a second long: 1000 bytes received, 100 sent, 1 packet dropped.
fn frame(session: u64, seq: u64, start_ns: u64) -> Frame {
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        start_ns: WallNs(start_ns),
        interval_ns: SECOND / 2,
        rx: counts(1000, 1000 * seq),
        tx: counts(100, 100 * seq),
        drops: Packets(1),
        ..Sample::default()
    };
    Frame {
        session: SessionId::new(session),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![sample],
        mixes: vec![],
        talkers: vec![],
    }
}

fn connected() -> Live {
    let live = Live::new();
    live.on_connected(&web1(), "Web", &Host::default(), WallNs(START));
    live
}

fn client(live: &Live) -> ClientView {
    live.client(&web1()).unwrap()
}

fn eth0(live: &Live) -> NicView {
    client(live).nics.into_iter().find(|nic| nic.nic == "eth0").unwrap()
}

fn registered(last_seen_ns: u64) -> Registered {
    let (client, alias) = ("web-1".to_owned(), "Web".to_owned());
    Registered { client, alias, last_seen_ns: WallNs(last_seen_ns), forgotten_ns: None }
}
