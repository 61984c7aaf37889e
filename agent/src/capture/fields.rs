//! Fields of packet headers: the offset of each from the start of its header, in bytes, and its values.

/// Ethernet (IEEE 802.3).
pub mod ethernet {
    /// Length of a header without tags.
    pub const HEADER_LEN: usize = 14;
    /// The destination address, of 6 bytes. Bit 0 of its first byte marks a group.
    pub const DESTINATION: usize = 0;
    /// Set in the first byte of a group's address.
    pub const GROUP: u8 = 0x01;
    /// The EtherType, 2 bytes, or a tag.
    pub const ETHERTYPE: usize = 12;
    /// Length of an EtherType.
    pub const ETHERTYPE_LEN: usize = 2;
    /// Length of a tag (IEEE 802.1Q).
    pub const TAG_LEN: usize = 4;
    /// EtherType of IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// EtherType of ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// EtherType of IPv6 (RFC 2464).
    pub const IPV6: u16 = 0x86DD;
    /// Tags that may stand between the addresses and the EtherType: 802.1Q, 802.1ad and the QinQ
    /// number in use before it.
    pub const TAGS: [u16; 3] = [0x8100, 0x88A8, 0x9100];
}

/// ARP (RFC 826).
pub mod arp {
    /// How a packet for IPv4 addresses over Ethernet begins: hardware and protocol, their lengths.
    pub const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];
    /// The sender's IPv4 address, 4 bytes.
    pub const SENDER: usize = 14;
    /// The target's.
    pub const TARGET: usize = 24;
}

/// IPv4 (RFC 791, section 3.1).
pub mod ipv4 {
    /// Version in the upper half, length of the header in 4-byte words in the lower.
    pub const VERSION_IHL: usize = 0;
    /// The lower half of [`VERSION_IHL`].
    pub const IHL_MASK: u8 = 0x0F;
    /// [`VERSION_IHL`] of a header without options.
    pub const WITHOUT_OPTIONS: u8 = 0x45;
    /// Flags and fragment offset, 2 bytes.
    pub const FRAGMENT: usize = 6;
    /// The fragment offset of [`FRAGMENT`].
    pub const FRAGMENT_OFFSET_MASK: u16 = 0x1FFF;
    /// The protocol number of the payload.
    pub const PROTOCOL: usize = 9;
    /// The source address, 4 bytes; the destination follows.
    pub const SOURCE: usize = 12;
    /// Length of a header without options.
    pub const HEADER_LEN: usize = 20;
}

/// IPv6 (RFC 8200, section 3).
pub mod ipv6 {
    /// The protocol number of the next header.
    pub const NEXT_HEADER: usize = 6;
    /// The source address, 16 bytes; the destination follows.
    pub const SOURCE: usize = 8;
    /// Length of the header.
    pub const HEADER_LEN: usize = 40;
}

/// Headers between IP and transport (RFC 8200, section 4; the formats are those of RFC 7045).
pub mod extension {
    /// The protocol number of the next header.
    pub const NEXT_HEADER: usize = 0;
    /// Length, in units of 8 bytes beyond the first.
    pub const LEN: usize = 1;
    /// Unit of [`LEN`].
    pub const LEN_UNIT: usize = 8;
    /// Unit of [`LEN`] in an authentication header, which counts beyond the first two
    /// (RFC 4302, section 2.2).
    pub const AUTHENTICATION_LEN_UNIT: usize = 4;
    /// Fragment offset and flags, 2 bytes, of a fragment header (RFC 8200, section 4.5).
    pub const FRAGMENT: usize = 2;
    /// The fragment offset of [`FRAGMENT`].
    pub const FRAGMENT_OFFSET_MASK: u16 = 0xFFF8;
    /// Length of a fragment header.
    pub const FRAGMENT_LEN: usize = 8;
}

/// TCP (RFC 9293, section 3.1).
pub mod tcp {
    /// Length of the header in 4-byte words, in the upper half.
    pub const DATA_OFFSET: usize = 12;
    /// The flags.
    pub const FLAGS: usize = 13;
    /// Starts a connection.
    pub const SYN: u8 = 0x02;
    /// Resets a connection.
    pub const RST: u8 = 0x04;
    /// Words of a header without options.
    pub const WORDS_MIN: u8 = 5;
}

/// UDP (RFC 768).
pub mod udp {
    /// Length of the header.
    pub const HEADER_LEN: usize = 8;
}

/// IP protocol numbers (IANA).
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    /// Those whose headers begin with the ports of source and destination: TCP, UDP, DCCP, SCTP,
    /// UDP-Lite.
    pub const WITH_PORTS: [u8; 5] = [TCP, UDP, 33, 132, 136];
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HOST_IDENTITY: u8 = 139;
    pub const SHIM6: u8 = 140;
}
