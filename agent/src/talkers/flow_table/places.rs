//! The places of flows: what packets of a flow add up to, until it goes to their talker.

use wire::{Bytes, Packets};

use super::super::table::TalkerEntry;

/// A flow of IPv4 with ports, as packets of one direction have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Flow {
    addresses: u64,
    /// Ports and protocol; the last 16 bits are zero.
    rest: u64,
}

impl Ipv4Flow {
    /// The flow of packets with these addresses and ports, of TCP or UDP.
    #[inline(always)]
    #[must_use]
    pub const fn new(addresses: u64, ports: u32, protocol: u8) -> Self {
        Self { addresses, rest: (ports as u64) << 32 | (protocol as u64) << 16 }
    }
}

/// A place: half a line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
struct FlowPlace {
    addresses: u64,
    /// The rest of its flow, and the number of the talker's entry in the last 16 bits.
    rest_number: u64,
    bytes: Bytes,
    packets: Packets,
}

impl FlowPlace {
    /// No flow has the protocol 0.
    const FREE: Self = Self { addresses: 0, rest_number: 0, bytes: Bytes(0), packets: Packets(0) };

    #[inline]
    const fn new(flow: Ipv4Flow, number: u16) -> Self {
        let Ipv4Flow { addresses, rest } = flow;
        Self { addresses, rest_number: rest | number as u64, ..Self::FREE }
    }

    const fn is_free(&self) -> bool {
        self.rest_number == 0
    }

    #[inline(always)]
    const fn is_of(&self, flow: Ipv4Flow) -> bool {
        self.addresses == flow.addresses && (self.rest_number ^ flow.rest) >> 16 == 0
    }

    /// Adds its sums to its talker.
    #[inline]
    fn settle(&self, entries: &mut [TalkerEntry]) {
        let number = usize::from(u16::try_from(self.rest_number & 0xFFFF).unwrap_or(0));
        if let Some(entry) = entries.get_mut(number).filter(|_| self.packets > Packets(0)) {
            entry.count_known(self.bytes, self.packets);
        }
    }
}

/// Each flow has one place, by its hash. Another one may have it.
#[derive(Debug)]
pub(super) struct FlowPlaces {
    /// 64 less the binary logarithm of the number of places.
    shift: u32,
    /// A power of 2. Grows as far as memory is reserved.
    places: Vec<FlowPlace>,
    /// Packets of flows with a place, and of those whose place was taken, since it was last decided whether
    /// places pay.
    hits: u64,
    misses: u64,
    /// So many packets bypass the places from now on.
    bypassing: u32,
    /// Places that are taken.
    taken: usize,
    /// Flows that have lost their place since all were free, after at least one packet at it.
    ousted: usize,
    /// The same since it was last decided whether places pay.
    ousted_lately: usize,
}

impl FlowPlaces {
    /// Fewest places.
    pub const FEWEST: usize = 64;

    /// Of so many packets whose flow finds its place taken, one takes it: flows with few packets don't
    /// oust each other all the time, and those with many have theirs soon.
    const TURN: u64 = 8;

    /// After so many misses it is decided whether places pay: a miss costs about as much as a hit saves.
    const MISSES: u64 = 512;

    /// If there were fewer hits, so many packets bypass the places: of a flood, one packet in nine tries.
    const BYPASS: u32 = 4096;

    /// Not if so many of the flows that lost their place had packets at it, an eighth of the turns: more places,
    /// which there will soon be, would have kept them.
    const WANT_MORE: usize = (Self::MISSES / Self::TURN / 8) as usize;

    /// Free places, of which there may be up to so many, a power of 2.
    pub fn new(most: usize) -> Self {
        let places = Vec::with_capacity(most);
        let mut this = Self {
            shift: 0,
            places,
            hits: 0,
            misses: 0,
            bypassing: 0,
            taken: 0,
            ousted: 0,
            ousted_lately: 0,
        };
        this.resize(Self::FEWEST);
        this
    }

    /// Number of places as they are now, and as there may be.
    #[cfg(test)]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    #[cfg(test)]
    pub const fn capacity(&self) -> usize {
        self.places.capacity()
    }

    /// True if the next packet bypasses the places.
    #[cfg(test)]
    pub const fn bypassed(&self) -> bool {
        self.bypassing > 0
    }

    /// Memory of so many places, bytes.
    pub const fn bytes(places: usize) -> usize {
        places * size_of::<FlowPlace>()
    }

    /// Counts a packet at the place of its flow. False if the flow has none, or bypasses the places.
    #[inline(always)]
    pub fn add(&mut self, flow: Ipv4Flow, bytes: Bytes) -> bool {
        if self.bypassing > 0 {
            return false;
        }
        let at = self.at(flow);
        let Some(place) = self.places.get_mut(at).filter(|place| place.is_of(flow)) else {
            return false;
        };
        place.bytes += bytes;
        place.packets += Packets(1);
        self.hits += 1;
        true
    }

    /// After [`FlowPlaces::add`] counted nothing: gives a flow its place if that is free, or by turns, unless
    /// its packet bypasses the places. `number` is that of its talker's entry.
    #[inline]
    pub fn offer(&mut self, flow: Ipv4Flow, number: usize, entries: &mut [TalkerEntry]) {
        if self.bypassing > 0 {
            self.bypassing -= 1;
            return;
        }
        self.place(flow, number, entries);
    }

    /// Gives a flow its place if that is free, or by turns.
    #[inline(never)]
    fn place(&mut self, flow: Ipv4Flow, number: usize, entries: &mut [TalkerEntry]) {
        let Ok(number) = u16::try_from(number) else { return };
        let at = self.at(flow);
        let Some(place) = self.places.get_mut(at) else { return };
        if place.is_free() {
            *place = FlowPlace::new(flow, number);
            self.taken += 1;
            return;
        }
        self.misses += 1;
        if self.misses.is_multiple_of(Self::TURN) {
            place.settle(entries);
            let ousted = usize::from(place.packets > Packets(0));
            self.ousted += ousted;
            self.ousted_lately += ousted;
            *place = FlowPlace::new(flow, number);
        }
        let may_grow = self.places.len() < self.places.capacity();
        if self.misses == Self::MISSES {
            let wants_more = may_grow && self.ousted_lately >= Self::WANT_MORE;
            let pays = self.hits >= self.misses || wants_more;
            self.bypassing = if pays { 0 } else { Self::BYPASS };
            (self.hits, self.misses, self.ousted_lately) = (0, 0, 0);
        }
        if may_grow && 4 * self.ousted > self.places.len() {
            self.settle(entries);
            self.resize(2 * self.places.len());
        }
    }

    /// Adds all sums to their talkers and frees all places.
    pub fn settle(&mut self, entries: &mut [TalkerEntry]) {
        if self.taken > 0 {
            self.places.iter().for_each(|place| place.settle(entries));
        }
        self.clear();
    }

    /// Frees all places.
    pub fn clear(&mut self) {
        if self.taken > 0 {
            self.places.fill(FlowPlace::FREE);
            (self.taken, self.ousted) = (0, 0);
        }
    }

    /// Gives back memory that was written to.
    pub fn shrink(&mut self) {
        *self = Self::new(self.places.capacity());
    }

    /// All places are free; from now on, there are so many, and nothing bypasses them.
    fn resize(&mut self, places: usize) {
        (self.hits, self.misses, self.bypassing, self.ousted_lately) = (0, 0, 0, 0);
        self.places.resize(places, FlowPlace::FREE);
        self.shift = u64::BITS - places.trailing_zeros();
    }

    /// The place of a flow. Its factors were chosen so that addresses and ports in any order of hosts and
    /// networks have places of their own. They are no secret: who makes flows take each other's places has
    /// each packet cost what that of a new flow costs.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "less than the number of places")]
    fn at(&self, flow: Ipv4Flow) -> usize {
        let addresses = flow.addresses.wrapping_mul(0xF012_F88A_4072_C33F);
        let rest = flow.rest.wrapping_mul(0xC197_97AF_4255_2939);
        addresses.wrapping_add(rest).wrapping_shr(self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = 0x0A00_0001;
    const THERE: u64 = 0x0B00_0000;
    const PLACES: usize = 4096;

    /// How many of a thousand flows share a place.
    fn sharing(flow: impl Fn(u64) -> Ipv4Flow) -> usize {
        let mut places = FlowPlaces::new(PLACES);
        places.resize(PLACES);
        let mut flows = vec![0; PLACES];
        (0..1000).for_each(|n| flows[places.at(flow(n))] += 1);
        flows.into_iter().filter(|flows| *flows > 1).sum()
    }

    #[test]
    fn regular_flows_have_places_of_their_own() {
        let ports = |from: u32, to: u32| from << 16 | to;
        for step in (0..=20).map(|bit| 1 << bit) {
            let from = |n: u64| (THERE + n * step) & 0xFFFF_FFFF;
            let received = |n| Ipv4Flow::new(from(n) << 32 | HERE, ports(40_000, 443), 6);
            let sent = |n| Ipv4Flow::new(HERE << 32 | from(n), ports(443, 40_000), 17);
            assert_eq!((sharing(received), sharing(sent)), (0, 0), "a host of each {step}");
        }
        for step in [1, 2, 4, 8, 16] {
            let port = |n: u64| u32::try_from(1024 + n * step).unwrap();
            let addresses = THERE << 32 | HERE;
            let received = |n| Ipv4Flow::new(addresses, ports(port(n), 443), 6);
            let sent = |n| Ipv4Flow::new(addresses, ports(443, port(n)), 6);
            assert_eq!((sharing(received), sharing(sent)), (0, 0), "a port of each {step}");
        }
        let hosts_and_ports = |n: u64| {
            let port = u32::try_from(40_000 + n % 32).unwrap();
            Ipv4Flow::new((THERE + n / 32) << 32 | HERE, ports(port, 443), 6)
        };
        assert_eq!(sharing(hosts_and_ports), 0);
    }

    #[test]
    fn a_place_is_half_a_line_of_the_cache() {
        assert_eq!(size_of::<FlowPlace>(), 32);
    }
}
