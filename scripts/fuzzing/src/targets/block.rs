//! Blocks of a ring as the kernel writes them, from behind the status word of the descriptor.

use agent::capture::packet_sums::PacketSums;
use agent::capture::ring::{BlockPackets, Packet};
use wire::{Bytes, Packets};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "block",
    about: "a block of the ring the kernel fills (agent::capture::ring)",
    input_max: 8 * KIB,
    memory_max: MIB,
    run,
};

/// Bytes of a packet's headers in a block: `tpacket3_hdr` and `sockaddr_ll`.
const PLACE: usize = 68;

fn run(input: &[u8]) {
    for vnet_header in [true, false] {
        let packets: Vec<Packet<'_>> =
            BlockPackets::of_block(input, vnet_header).take(input.len() / PLACE + 1).collect();
        // Each packet has its own offset. Packets may overlap if the offsets say so, but offsets only
        // grow.
        assert!(packets.len() <= input.len() / PLACE, "{} packets", packets.len());
        assert_eq!(BlockPackets::of_block(input, vnet_header).count(), packets.len());
        let block = input.as_ptr_range();
        let mut counts = PacketSums::default();
        let mut sums = [0; 2];
        for packet in &packets {
            let headers = packet.headers.as_ptr_range();
            assert!(block.start <= headers.start && headers.end <= block.end);
            assert_eq!(packet.vnet.is_some(), vnet_header);
            let counted = counts.add(packet);
            sums[counted.direction as usize] += counted.bytes.get();
        }
        let tally = counts.take();
        assert_eq!([tally.rx.bytes, tally.tx.bytes], sums.map(Bytes), "no byte is lost or doubled");
        assert!(tally.rx.captured + tally.tx.captured <= Packets(packets.len() as u64));
    }
}
