//! Counts packets into the tables of talkers of their slots.

use std::sync::Arc;

use wire::{Bytes, Packets};

use super::fields::{ethernet, ipv4, ipv6, protocol};
use super::packet::Headers;
use super::packet_sums::{Counted, Plain};
use super::ring::Packet;
use super::talker_flow::{ends, flow_of};
use crate::account::bank::{BankWriter, Direction};
use crate::account::shared::Shared;
use crate::talkers::host::OwnHost;
use crate::talkers::key::{Ends, KeyAddress, KeyedFlow};
use crate::talkers::table::{TalkerTable, TalkerTables};

/// What the sampler knows of the host, for all readers.
pub type SharedHost = Shared<Arc<OwnHost>>;

/// The talkers of a ring's packets.
#[derive(Debug)]
pub struct TalkerCounter {
    shared: Arc<SharedHost>,
    /// Version of the host in `host`.
    version: u64,
    host: Arc<OwnHost>,
    /// The host's addresses that were met last, IPv6 and IPv4.
    own: [KeyAddress; 2],
    /// The slot, while the reader is in it, and its tables, if they are free.
    slot: Option<u64>,
    tables: Option<Box<TalkerTables>>,
}

impl TalkerCounter {
    /// Is in no slot yet.
    #[must_use]
    pub fn new(shared: Arc<SharedHost>) -> Self {
        let (version, host) = shared.get();
        Self { shared, version, host, own: [KeyAddress::NONE; 2], slot: None, tables: None }
    }

    /// A group of blocks begins.
    pub(super) fn at_batch(&mut self) {
        if self.shared.is_newer(self.version) {
            (self.version, self.host) = self.shared.get();
            self.own = [KeyAddress::NONE; 2];
        }
    }

    /// Packets of an open slot follow.
    #[inline]
    pub(super) fn enter(&mut self, slot: u64, bank: &mut BankWriter) {
        if self.slot.is_none() {
            self.tables = bank.lend_talkers(slot);
            self.slot = Some(slot);
        }
    }

    /// No more packets of the slot follow for now.
    pub(super) fn leave(&mut self, bank: &mut BankWriter) {
        if let (Some(slot), Some(tables)) = (self.slot.take(), self.tables.take()) {
            bank.give_back_talkers(slot, tables);
        }
    }

    /// Counts a packet of a known kind.
    #[inline(always)]
    pub(super) fn add_plain(
        &mut self,
        packet: &Packet<'_>,
        plain: Plain,
        bytes: u64,
        direction: Direction,
    ) {
        let Some(tables) = &mut self.tables else { return };
        let table = &mut tables[direction as usize];
        let Some((number, ends)) = plain_ends(packet.headers, plain, direction) else {
            // Its ports are cut off.
            let packet = *packet;
            let headers = Headers::of_ethernet(packet.headers, packet.vlan_stripped);
            return add_any(table, &packet, &headers, &self.host, (Bytes(bytes), Packets(1)));
        };
        let (host, own) = (&*self.host, &mut self.own[usize::from(plain.is_ipv4())]);
        let flow = if ends.near == *own {
            KeyedFlow::between_ports(number, ends, host.listens(number, ends.near_port))
        } else {
            if host.owns(ends.near) {
                *own = ends.near;
            }
            host.flow(number, ends, false, KeyedFlow::between_ports)
        };
        table.add(&flow, Bytes(bytes), Packets(1));
    }

    /// Counts any packet.
    pub(super) fn add(&mut self, packet: &Packet<'_>, counted: &Counted) {
        let Some(tables) = self.tables.as_mut().filter(|_| counted.bytes > Bytes(0)) else {
            return;
        };
        let table = &mut tables[counted.direction as usize];
        let sums = (counted.bytes, counted.packets);
        add_any(table, packet, &counted.headers, &self.host, sums);
    }
}

/// Counts a packet of any kind in a table.
#[inline(never)]
fn add_any(
    table: &mut TalkerTable,
    packet: &Packet<'_>,
    headers: &Headers,
    host: &OwnHost,
    (bytes, packets): (Bytes, Packets),
) {
    table.add(&flow_of(packet, headers, host), bytes, packets);
}

/// Protocol and ends of a plain packet; `None` if the captured bytes end before its ports.
#[inline]
fn plain_ends(bytes: &[u8], plain: Plain, direction: Direction) -> Option<(u8, Ends)> {
    const IP: usize = ethernet::HEADER_LEN;
    const IPV4_LEN: usize = IP + ipv4::HEADER_LEN;
    const IPV6_LEN: usize = IP + ipv6::HEADER_LEN;
    let number = if plain.is_tcp() { protocol::TCP } else { protocol::UDP };
    let port = |at: &[u8; 2]| u16::from_be_bytes(*at);
    let (source, destination, ports) = if plain.is_ipv4() {
        let bytes = bytes.first_chunk::<{ IPV4_LEN + 4 }>()?;
        let addresses = bytes[IP + ipv4::SOURCE..].first_chunk::<8>()?;
        let [a, b, c, d, e, f, g, h] = *addresses;
        (KeyAddress::v4([a, b, c, d]), KeyAddress::v4([e, f, g, h]), &bytes[IPV4_LEN..])
    } else {
        let bytes = bytes.first_chunk::<{ IPV6_LEN + 4 }>()?;
        let source = bytes[IP + ipv6::SOURCE..].first_chunk()?;
        let destination = bytes[IP + ipv6::SOURCE + 16..].first_chunk()?;
        (KeyAddress::v6(*source), KeyAddress::v6(*destination), &bytes[IPV6_LEN..])
    };
    let (from, to) = (port(ports.first_chunk()?), port(ports[2..].first_chunk()?));
    Some((number, ends((source, from), (destination, to), direction)))
}
