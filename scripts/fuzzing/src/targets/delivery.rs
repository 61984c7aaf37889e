//! How the two ends of the window take accepted messages and frames: numbers from a peer.

use std::time::Duration;

use wire::Seq;
use wire::delivery::{Accepted, AckPace, Receiver, Sender, WINDOW};
use wire::id::SessionId;
use wire::message::{Ack, Committed, Message, SeqRange, Welcome};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "delivery",
    about: "a peer's sequence numbers, in any order (wire::delivery)",
    input_max: 4 * KIB,
    memory_max: 4 * MIB,
    run,
};

/// Bytes of a step: an event and two numbers.
const STEP: usize = 17;

fn run(input: &[u8]) {
    sender(input);
    receiver(input);
}

fn steps(input: &[u8]) -> impl Iterator<Item = (u8, u64, u64)> + '_ {
    input.chunks_exact(STEP).map(|step| {
        let number = |at: usize| u64::from_le_bytes(*step[at..].first_chunk().unwrap());
        (step[0], number(1), number(9))
    })
}

/// The agent's end. The collector may send it anything; its own numbers are sound.
fn sender(input: &[u8]) {
    const RTT: Duration = Duration::from_millis(20);
    let mut sender = Sender::new(Seq(0), Seq(3 * WINDOW));
    for (nth, (what, one, other)) in (0..).zip(steps(input)) {
        let now = Duration::from_millis(nth * 300);
        match what % 8 {
            0 => {
                let committed = vec![Committed { session: SessionId::new(1), seq: Seq(one) }];
                let welcome = Welcome { committed, ..Welcome::default() };
                if Message::Welcome(welcome).check().is_ok() {
                    // The shipper clamps it like this.
                    let pace = if other % 2 == 0 { AckPace::Prompt } else { AckPace::Joined };
                    sender.on_connected(Seq(one).min(sender.last()), pace);
                }
            }
            1 | 2 => {
                let missing = vec![SeqRange { first: Seq(other), last: Seq(one) }];
                let ack = Ack {
                    session: SessionId::new(1),
                    committed: Seq(one),
                    received: Seq(other),
                    missing,
                };
                if Message::Ack(ack.clone()).check().is_ok() {
                    sender.on_ack(&ack, now, RTT);
                }
            }
            3 => sender.on_disconnected(),
            4 if one % 2 == 0 => sender.on_finished(),
            4 => sender.on_time(now, RTT),
            5 => {
                if let Some(SeqRange { first, last }) = sender.poll_stream() {
                    assert!((Seq::FIRST..=last).contains(&first) && last <= sender.last());
                    sender.on_streamed(first, first + other % (last - first + 1));
                }
            }
            6 => sender.on_too_long_for_live(Seq(one)),
            _ => drop(sender.on_made(now)),
        }
        assert!(sender.committed() <= sender.last(), "a number never made is never committed");
        assert!(sender.under_way() as u64 <= WINDOW);
    }
}

/// The collector's end. The agent may send it anything.
fn receiver(input: &[u8]) {
    let mut receiver = Receiver::new(SessionId::new(1), Seq(0));
    let mut handed_out = Seq(0);
    for (what, first, last) in steps(input) {
        // Skip numbers that a frame's check refuses.
        if first == 0 || last < first || last > i64::MAX as u64 {
            continue;
        }
        match what % 8 {
            0 => receiver.on_committed(handed_out),
            1..4 => {
                if let Some(SeqRange { first, last }) = receiver.pop() {
                    assert_eq!(first, handed_out + 1, "in order, without hole or overlap");
                    handed_out = last;
                }
            }
            _ => {
                let range = SeqRange { first: Seq(first), last: Seq(last) };
                if receiver.accept(range, range) == Accepted::Kept {
                    assert!(range.first > handed_out);
                }
            }
        }
        let ack = receiver.ack();
        assert_eq!(ack.received, handed_out);
        assert!(ack.committed <= ack.received && receiver.waiting() as u64 <= WINDOW);
        Message::Ack(ack).check().expect("every ack passes its check");
    }
}
