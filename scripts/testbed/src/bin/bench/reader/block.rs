//! Blocks laid out as in a TPACKET_V3 ring with virtio headers (`include/uapi/linux/if_packet.h`).

use std::hint::black_box;

use testbed::generator::udp_packet;

/// Wall time of the first packet, nanoseconds.
pub const WALL_NS: u64 = 1_700_000_000_000_000_000;

/// Size of a block, descriptor included, bytes.
const BLOCK: usize = 8 << 10;
const DESCRIPTOR: usize = 48;
/// Bytes of the descriptor up to and including its status word.
const AFTER_STATUS: usize = 12;
/// Offset of `sockaddr_ll` and of the MAC header from the start of a packet's slot.
const LINK: usize = 48;
const MAC: usize = 92;
/// Bytes captured of a packet.
const SNAPLEN: usize = 128;
/// Time between two packets, nanoseconds.
const GAP_NS: u64 = 700;

/// Blocks full of packets.
#[derive(Debug)]
pub struct Blocks {
    blocks: Vec<Vec<u8>>,
    /// Total packets.
    pub packets: u64,
    /// Time from one block to the next, nanoseconds.
    pub block_ns: u64,
}

impl Blocks {
    /// Number of blocks.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.blocks.len()
    }

    /// Each block from behind its status word on.
    pub fn after_status(&self) -> impl Iterator<Item = &[u8]> {
        self.blocks.iter().map(|block| &block[AFTER_STATUS..])
    }

    /// Rewrites every byte unchanged.
    pub fn rewrite(&mut self) {
        let mut block = Vec::with_capacity(BLOCK);
        for place in &mut self.blocks {
            block.clone_from(place);
            place.copy_from_slice(black_box(&block));
        }
    }
}

/// A packet to be put into blocks.
#[derive(Debug, Clone)]
struct Template {
    bytes: Vec<u8>,
    len: u32,
    /// `sll_pkttype`.
    kind: u8,
    /// `gso_type` and `gso_size`, with the offset of the transport header.
    gso: Option<(u8, u16, u16)>,
}

impl Template {
    /// A packet of `len` bytes that starts with `bytes`.
    fn new(bytes: &[u8], len: u32) -> Self {
        Self { bytes: bytes[..bytes.len().min(SNAPLEN)].to_vec(), len, kind: 0, gso: None }
    }
}

/// UDP packets of one length.
#[must_use]
pub fn uniform(len: u32, blocks: usize) -> Blocks {
    fill(&[Template::new(&udp_packet(len as usize), len)], blocks)
}

/// Traffic of a typical host: mostly TCP in both directions, acknowledgements and full segments, some
/// of them super-packets, with UDP, ICMP, ARP, IPv6 and a VLAN among them.
#[must_use]
pub fn mixed(blocks: usize) -> Blocks {
    const OUTGOING: u8 = 4;
    let ipv4 = |protocol: u8, len: u32| {
        let mut bytes = udp_packet(SNAPLEN);
        bytes[23] = protocol;
        bytes[46] = 8 << 4;
        Template::new(&bytes, len)
    };
    let sent = |template: Template| Template { kind: OUTGOING, ..template };
    let large = |len: u32| Template { gso: Some((1, 1448, 34)), ..ipv4(6, len) };
    let mut ipv6 = vec![0; SNAPLEN];
    ipv6[12..15].copy_from_slice(&[0x86, 0xDD, 0x60]);
    ipv6[20] = 6;
    let mut arp = vec![0; 42];
    arp[..6].fill(0xFF);
    arp[12..14].copy_from_slice(&[8, 6]);
    let mut tagged = udp_packet(SNAPLEN);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let ipv6 = |len| Template::new(&ipv6, len);
    fill(
        &[
            ipv4(6, 66),
            sent(ipv4(6, 66)),
            ipv4(6, 1514),
            sent(ipv4(6, 1514)),
            ipv4(6, 66),
            sent(ipv4(6, 66)),
            ipv4(6, 1514),
            sent(large(66 + 20_000)),
            large(66 + 9000),
            ipv4(17, 130),
            sent(ipv4(17, 78)),
            ipv6(86),
            sent(ipv6(1514)),
            ipv4(1, 98),
            Template::new(&arp, 42),
            Template::new(&tagged, 300),
        ],
        blocks,
    )
}

/// Fills blocks with the templates in pseudo-random order.
fn fill(templates: &[Template], count: usize) -> Blocks {
    let mut random = 1u64;
    let mut time_ns = WALL_NS;
    let mut packets = 0;
    let mut first_block_ns = 0;
    let blocks = (0..count).map(|_| {
        let mut block = vec![0; BLOCK];
        let (mut at, mut in_block, mut last) = (DESCRIPTOR, 0u32, 0);
        loop {
            // Knuth's linear congruential generator (MMIX).
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let template = &templates[usize::try_from(random >> 33).unwrap_or(0) % templates.len()];
            let len = (MAC + template.bytes.len()).next_multiple_of(16);
            if at + len > BLOCK {
                break;
            }
            put(&mut block[at..at + len], template, time_ns);
            (last, at) = (at, at + len);
            time_ns += GAP_NS;
            in_block += 1;
        }
        block[last..last + 4].fill(0);
        block[12..16].copy_from_slice(&in_block.to_ne_bytes());
        block[16..20].copy_from_slice(&48u32.to_ne_bytes());
        packets += u64::from(in_block);
        first_block_ns = first_block_ns.max(u64::from(in_block) * GAP_NS);
        block
    });
    let blocks = blocks.collect();
    Blocks { blocks, packets, block_ns: first_block_ns }
}

/// Writes a packet with its headers.
fn put(place: &mut [u8], template: &Template, time_ns: u64) {
    const USER: u32 = 1;
    const ETHERNET: u16 = 1;
    let word = |n: usize| u32::try_from(n).unwrap_or(0);
    let seconds = u32::try_from(time_ns / 1_000_000_000).unwrap_or(0);
    let nanos = u32::try_from(time_ns % 1_000_000_000).unwrap_or(0);
    let captured = word(template.bytes.len());
    let fields = [word(place.len()), seconds, nanos, captured, template.len, USER];
    for (field, value) in place.chunks_exact_mut(4).zip(fields) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    place[24..26].copy_from_slice(&92u16.to_ne_bytes());
    place[LINK + 8..LINK + 10].copy_from_slice(&ETHERNET.to_ne_bytes());
    place[LINK + 10] = template.kind;
    if let Some((kind, size, start)) = template.gso {
        place[82..84].copy_from_slice(&[1, kind]);
        place[86..88].copy_from_slice(&size.to_ne_bytes());
        place[88..90].copy_from_slice(&start.to_ne_bytes());
    }
    place[MAC..MAC + template.bytes.len()].copy_from_slice(&template.bytes);
}

/// Whose the packets of [`talking`] are.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// Each is of one of so many senders, in random order, to this host.
    Senders(u32),
    /// The same, to four others behind this host.
    Forwarded(u32),
    /// Each is of a new sender: a flood of TCP SYN with forged addresses.
    Flood,
}

/// Packets of 60 bytes by many senders.
#[must_use]
pub fn talking(spread: Spread, blocks: usize) -> Blocks {
    const SOURCE: usize = MAC + 26;
    const DESTINATION: usize = SOURCE + 4;
    const PROTOCOL: usize = MAC + 23;
    const FLAGS: usize = MAC + 34 + 13;
    const BEHIND: u32 = 0x0A00_0000;
    let mut all = uniform(60, blocks);
    let (mut random, mut new) = (7u64, 0);
    let mut draw = |most: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(random >> 33).unwrap_or(0) % most
    };
    for packet in all.blocks.iter_mut().flat_map(|block| packets_of(block)) {
        let (sender, behind) = match spread {
            Spread::Senders(most) => (draw(most), None),
            Spread::Forwarded(most) => (draw(most), Some(draw(4))),
            Spread::Flood => {
                new += 1;
                packet[PROTOCOL] = 6;
                packet[FLAGS] = 2;
                (new, None)
            }
        };
        packet[SOURCE..DESTINATION].copy_from_slice(&scattered(sender).to_be_bytes());
        if let Some(behind) = behind {
            packet[DESTINATION..DESTINATION + 4].copy_from_slice(&(BEHIND + behind).to_be_bytes());
        }
    }
    all
}

/// An address of its own for each number, without order, as those of the internet.
const fn scattered(number: u32) -> u32 {
    // Each step can be undone (the finalizer of MurmurHash3).
    let mut mixed = number;
    mixed = (mixed ^ mixed >> 16).wrapping_mul(0x85EB_CA6B);
    mixed = (mixed ^ mixed >> 13).wrapping_mul(0xC2B2_AE35);
    mixed ^ mixed >> 16
}

/// The places of a block's packets.
fn packets_of(block: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let mut left = Some(block.split_at_mut(DESCRIPTOR).1);
    std::iter::from_fn(move || {
        let bytes = left.take()?;
        let next = bytes.first_chunk().map_or(0, |field| u32::from_ne_bytes(*field)) as usize;
        if next == 0 {
            return Some(bytes);
        }
        let (packet, rest) = bytes.split_at_mut(next);
        left = Some(rest);
        Some(packet)
    })
}
