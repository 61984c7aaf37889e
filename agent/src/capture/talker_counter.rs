//! Counts packets into the tables of talkers of their slots.

use std::sync::Arc;

use wire::{Bytes, Packets};

use super::fields::protocol;
use super::packet::Headers;
use super::packet_sums::{Counted, Plain};
use super::plain_ends::{Ipv4Ports, Ipv6Headers, ipv6_ends};
use super::ring::Packet;
use super::talker_flow::flow_of;
use crate::account::bank::{BankWriter, Direction};
use crate::account::shared::Shared;
use crate::talkers::flow_table::{FlowTable, FlowTables};
use crate::talkers::host::OwnHost;
use crate::talkers::key::{Ends, KeyAddress, KeyedFlow};

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
    tables: Option<Box<FlowTables>>,
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
        let of = (if plain.is_tcp() { protocol::TCP } else { protocol::UDP }, direction);
        // The rarer kinds are counted elsewhere, with what fits into registers: then this loop has enough.
        if let Some(headers) = packet.headers.first_chunk().filter(|_| plain.is_ipv4()) {
            let ports = Ipv4Ports::new(headers);
            let Some(tables) = &mut self.tables else { return };
            if !tables[direction as usize].add_known(ports.flow(of.0), Bytes(bytes)) {
                self.add_new(ports, of, Bytes(bytes));
            }
        } else if let Some(headers) = packet.headers.first_chunk() {
            self.add_ipv6(headers, of, Bytes(bytes));
        } else {
            // Its ports are cut off.
            let Some(tables) = &mut self.tables else { return };
            let packet = *packet;
            let headers = Headers::of_ethernet(packet.headers, packet.vlan_stripped);
            let sums = (Bytes(bytes), Packets(1));
            add_any(&mut tables[direction as usize], &packet, &headers, &self.host, sums);
        }
    }

    /// Counts a plain IPv4 packet of a flow without a place.
    #[inline(never)]
    fn add_new(&mut self, ports: Ipv4Ports, (number, direction): (u8, Direction), bytes: Bytes) {
        let Some(tables) = &mut self.tables else { return };
        let (ends, flow) = (ports.ends(direction), ports.flow(number));
        let keyed = keyed(&self.host, &mut self.own[1], (number, ends));
        tables[direction as usize].add_new(flow, &keyed, bytes);
    }

    /// Counts a plain IPv6 packet.
    #[inline(never)]
    fn add_ipv6(
        &mut self,
        headers: &Ipv6Headers,
        (number, direction): (u8, Direction),
        bytes: Bytes,
    ) {
        let Some(tables) = &mut self.tables else { return };
        let ends = ipv6_ends(headers, direction);
        let keyed = keyed(&self.host, &mut self.own[0], (number, ends));
        tables[direction as usize].add(&keyed, bytes, Packets(1));
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
    table: &mut FlowTable,
    packet: &Packet<'_>,
    headers: &Headers,
    host: &OwnHost,
    (bytes, packets): (Bytes, Packets),
) {
    table.add(&flow_of(packet, headers, host), bytes, packets);
}

/// The flow of a plain packet. `own` is the address of this host that was met last.
#[inline(always)]
fn keyed(host: &OwnHost, own: &mut KeyAddress, (number, ends): (u8, Ends)) -> KeyedFlow {
    if ends.near == *own {
        return KeyedFlow::between_ports(number, ends, host.listens(number, ends.near_port));
    }
    if host.owns(ends.near) {
        *own = ends.near;
    }
    host.flow(number, ends, false, KeyedFlow::between_ports)
}
