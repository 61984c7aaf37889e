//! The kernel's rtnetlink messages about NICs: names, kinds and aliases that any user with a network
//! namespace can choose.

use agent::nic::link::Link;
use agent::nic::link_stats::LinkStats;
use agent::nic::roster::LinkEvent;
use agent::nic::watch::events;
use agent::owner::closures::sockets;
use wire::{Bytes, Packets};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "netlink",
    about: "netlink messages of the kernel: NICs and sockets (agent::nic::{watch, link}, agent::owner)",
    input_max: 32 * KIB,
    memory_max: MIB,
    run,
};

/// Bytes of `nlmsghdr` and `ifinfomsg`.
const MESSAGE: usize = 32;

fn run(input: &[u8]) {
    let mut count = 0;
    for event in events(input) {
        count += 1;
        match event {
            LinkEvent::Changed(link) => check(&link, input.len()),
            LinkEvent::Gone(_, stats) => {
                let grown = stats.map(|stats| stats.since(&stats));
                assert!(
                    grown.is_none_or(
                        |grown| grown.rx_bytes == Bytes(0) && grown.errors == Packets(0)
                    )
                );
            }
            LinkEvent::Addresses | LinkEvent::Overrun => {}
        }
    }
    for socket in sockets(input) {
        assert!(socket.local.is_ipv4() || socket.local.ip().to_canonical().is_ipv6());
    }
    // An unreadable message is an overrun: at most one per message.
    assert!(count <= input.len() / 4 + 1, "{count} events of {} bytes", input.len());
    if let Some(stats) = LinkStats::of(input) {
        let grown = stats.since(&LinkStats::default());
        assert_eq!(LinkStats::new(grown), stats);
    }
}

fn check(link: &Link, len: usize) {
    let name = link.name.as_str().expect("a valid name");
    assert!((1..=15).contains(&name.len()) && len >= MESSAGE);
    assert!(!link.kind.is_empty() && link.kind.len() <= 3 * len);
    assert_ne!(link.lower, Some(link.index), "no NIC is below itself");
    let told = link.describe(false, 0);
    assert_eq!((told.name, told.index, told.mtu), (link.name, link.index, link.mtu));
}
