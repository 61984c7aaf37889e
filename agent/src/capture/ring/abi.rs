//! The kernel's side of a ring: the layout of shared memory, checked at compile time.
//!
//! Structs are those of the `libc` crate. Their sizes and used offsets are asserted here, beside links
//! to the kernel's header. The kernel never changes them.

use std::mem::{offset_of, size_of};

use libc::{
    packet_mreq, sockaddr_ll, tpacket_block_desc, tpacket_hdr_v1, tpacket_req3, tpacket_stats_v3,
    tpacket3_hdr,
};

use crate::capture::wire_len::VnetHeader;

/// `TPACKET_V3`: <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L252-L256>.
pub(super) const TPACKET_V3: libc::c_int = 2;

/// `PACKET_MR_PROMISC`: <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L312>.
pub(super) const PROMISCUOUS: libc::c_ushort = 1;

/// `AF_PACKET`: <https://github.com/torvalds/linux/blob/v6.1/include/linux/socket.h>.
pub(super) const AF_PACKET: libc::c_ushort = 17;
const _: () = assert!(libc::AF_PACKET == AF_PACKET as libc::c_int);

/// All protocols: <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_ether.h#L132>.
pub(super) const ETH_P_ALL: u16 = 3;
const _: () = assert!(libc::ETH_P_ALL == ETH_P_ALL as libc::c_int);

/// BPF `ret #k`, accept the first k bytes of each packet:
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/bpf_common.h#L13>.
pub(super) const BPF_RET_K: u16 = 0x06;
const _: () = assert!(libc::BPF_RET | libc::BPF_K == BPF_RET_K as u32);

/// `TPACKET_ALIGNMENT` of the headers before a packet:
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L142>.
const ALIGNMENT: usize = libc::TPACKET_ALIGNMENT;

/// `V3_ALIGNMENT` of a packet's place in a block, bytes:
/// <https://github.com/torvalds/linux/blob/v6.1/net/packet/internal.h> and `prb_fill_curr_block`.
pub(super) const PLACE_ALIGNMENT: u32 = 8;

/// Least number of bytes that `tpacket_rcv` leaves for a MAC header:
/// <https://github.com/torvalds/linux/blob/v6.1/net/packet/af_packet.c> (`max(maclen, 16)`).
const MAC_ROOM: usize = 16;

/// A block begins with its descriptor:
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L190-L247>.
pub(super) mod block {
    use super::*;

    /// Length of the descriptor, bytes.
    pub(in super::super) const DESCRIPTOR: u32 = 48;
    /// The status word, which names the owner of the block.
    pub(in super::super) const STATUS: usize = HEADER + offset_of!(tpacket_hdr_v1, block_status);
    /// The first byte behind the status word.
    pub(in super::super) const AFTER_STATUS: usize = STATUS + size_of::<u32>();
    /// Number of packets.
    pub(in super::super) const PACKETS: usize = HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
    /// Offset of the first packet from the start of the block.
    pub(in super::super) const FIRST: usize =
        HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);

    const HEADER: usize = offset_of!(tpacket_block_desc, hdr);

    const _: () = {
        assert!(size_of::<tpacket_block_desc>() == DESCRIPTOR as usize);
        assert!(size_of::<tpacket_hdr_v1>() == 40);
        assert!(STATUS == 8 && PACKETS == 12 && FIRST == 16 && AFTER_STATUS == 12);
    };
}

/// A packet's place in a block: `tpacket3_hdr`, then, aligned, `sockaddr_ll`:
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L166-L180>,
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L14-L22>.
pub(super) mod place {
    use super::*;

    /// Offset of the next place from the start of this one; 0 in the last place of a block.
    pub(in super::super) const NEXT: usize = offset_of!(tpacket3_hdr, tp_next_offset);
    /// Time at which the kernel saw the packet: seconds.
    pub(in super::super) const SECONDS: usize = offset_of!(tpacket3_hdr, tp_sec);
    /// Nanoseconds of that time.
    pub(in super::super) const NANOSECONDS: usize = offset_of!(tpacket3_hdr, tp_nsec);
    /// Captured bytes.
    pub(in super::super) const SNAPLEN: usize = offset_of!(tpacket3_hdr, tp_snaplen);
    /// Bytes of the whole packet.
    pub(in super::super) const LEN: usize = offset_of!(tpacket3_hdr, tp_len);
    /// Status bits.
    pub(in super::super) const STATUS: usize = offset_of!(tpacket3_hdr, tp_status);
    /// Offset of the MAC header from the start of the place.
    pub(in super::super) const MAC: usize = offset_of!(tpacket3_hdr, tp_mac);
    /// Offset of the network header from the start of the place.
    pub(in super::super) const NETWORK: usize = offset_of!(tpacket3_hdr, tp_net);
    /// Link-layer header type (`ARPHRD_*`).
    pub(in super::super) const LINK_TYPE: usize = LINK + offset_of!(sockaddr_ll, sll_hatype);
    /// Direction and kind (`PACKET_*`).
    pub(in super::super) const KIND: usize = LINK + offset_of!(sockaddr_ll, sll_pkttype);
    /// Length of both headers (`TPACKET3_HDRLEN`).
    pub(in super::super) const HEADERS_LEN: usize = LINK + size_of::<sockaddr_ll>();

    const LINK: usize = size_of::<tpacket3_hdr>().next_multiple_of(ALIGNMENT);

    const _: () = {
        assert!(size_of::<tpacket3_hdr>() == 48 && size_of::<sockaddr_ll>() == 20);
        assert!(NEXT == 0 && SECONDS == 4 && NANOSECONDS == 8 && SNAPLEN == 12);
        assert!(LEN == 16 && STATUS == 20 && MAC == 24 && NETWORK == 26);
        assert!(LINK_TYPE == 48 + 8 && KIND == 48 + 10 && HEADERS_LEN == 68);
    };
}

/// `struct virtio_net_hdr`, which stands right before the MAC header, in host byte order:
/// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/virtio_net.h#L182-L191>.
#[repr(C)]
struct VirtioNetHdr {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

/// Length of `struct virtio_net_hdr`, bytes.
pub(super) const VNET_LEN: usize = size_of::<VirtioNetHdr>();

const _: () = {
    assert!(VNET_LEN == 10);
    assert!(offset_of!(VirtioNetHdr, flags) == 0 && offset_of!(VirtioNetHdr, gso_type) == 1);
    assert!(offset_of!(VirtioNetHdr, hdr_len) == 2 && offset_of!(VirtioNetHdr, gso_size) == 4);
    assert!(offset_of!(VirtioNetHdr, csum_start) == 6);
    assert!(offset_of!(VirtioNetHdr, csum_offset) == 8);
};

/// Reads a `struct virtio_net_hdr`.
#[inline]
pub(super) const fn vnet_header(bytes: &[u8; VNET_LEN]) -> VnetHeader {
    const SIZE: usize = offset_of!(VirtioNetHdr, gso_size);
    const START: usize = offset_of!(VirtioNetHdr, csum_start);
    VnetHeader {
        flags: bytes[offset_of!(VirtioNetHdr, flags)],
        gso_type: bytes[offset_of!(VirtioNetHdr, gso_type)],
        gso_size: u16::from_ne_bytes([bytes[SIZE], bytes[SIZE + 1]]),
        csum_start: u16::from_ne_bytes([bytes[START], bytes[START + 1]]),
    }
}

/// Bytes before the captured bytes of a packet with a MAC header of `mac_len` bytes: both headers, the
/// virtio header and their alignment (`tpacket_rcv`:
/// <https://github.com/torvalds/linux/blob/v6.1/net/packet/af_packet.c>).
pub(super) const fn before_packet(mac_len: usize) -> usize {
    let room = if mac_len > MAC_ROOM { mac_len } else { MAC_ROOM };
    (place::HEADERS_LEN + room).next_multiple_of(ALIGNMENT) + VNET_LEN - mac_len
}

// Values of packet socket options:
// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L278-L298>,
// <https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/if_packet.h#L80-L84>.
const _: () = {
    assert!(size_of::<tpacket_req3>() == 28);
    assert!(offset_of!(tpacket_req3, tp_block_size) == 0);
    assert!(offset_of!(tpacket_req3, tp_block_nr) == 4);
    assert!(offset_of!(tpacket_req3, tp_frame_size) == 8);
    assert!(offset_of!(tpacket_req3, tp_frame_nr) == 12);
    assert!(offset_of!(tpacket_req3, tp_retire_blk_tov) == 16);
    assert!(offset_of!(tpacket_req3, tp_sizeof_priv) == 20);
    assert!(offset_of!(tpacket_req3, tp_feature_req_word) == 24);
    assert!(size_of::<packet_mreq>() == 16);
    assert!(offset_of!(packet_mreq, mr_ifindex) == 0 && offset_of!(packet_mreq, mr_type) == 4);
    assert!(size_of::<tpacket_stats_v3>() == 12);
    assert!(offset_of!(tpacket_stats_v3, tp_packets) == 0);
    assert!(offset_of!(tpacket_stats_v3, tp_drops) == 4);
    assert!(offset_of!(tpacket_stats_v3, tp_freeze_q_cnt) == 8);
};
