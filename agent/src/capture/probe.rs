//! The start-up probe: tests whether the kernel's virtio header can describe all super-packets.
//!
//! If a ring asks for the header, the kernel drops packets that the header can't describe. Before Linux
//! 6.2 these are UDP GSO packets (`virtio_net_hdr_from_skb`, `include/linux/virtio_net.h`), so such a
//! kernel counts better without the header. The probe sends one UDP super-packet over the loopback to
//! its own socket, past its own ring.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use settings::InFull;

use super::packet::Headers;
use super::ring::{Packet, Ring, RingConfig, RingError};

/// Payload of a segment, and of a super-packet of three.
const SEGMENT: u16 = 500;
const PAYLOAD: usize = 1300;
/// Bytes before the payload on the loopback: Ethernet, IPv4, UDP.
const HEADERS_LEN: u32 = 42;
/// Payload of the marker packet. When it has arrived, the super-packet won't.
const MARKER: usize = 7;
/// Number of tries: a busy loopback may overflow the probe's small ring.
const TRIES: u32 = 3;
/// Longest wait for packets already sent.
const PATIENCE: Duration = Duration::from_millis(500);

/// How well the kernel supports the virtio header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VnetHeaderSupport {
    /// A UDP super-packet arrived with its header.
    Full,
    /// The kernel has no such header.
    Refused,
    /// The kernel drops UDP super-packets from a ring that asks for the header.
    DropsUdp,
    /// The test failed, with the reason.
    Untried(String),
}

impl VnetHeaderSupport {
    /// True if rings should ask for the header. If the test failed they should: dropped packets are at
    /// least counted.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Full | Self::Untried(_))
    }
}

impl fmt::Display for VnetHeaderSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WITHOUT: &str = "packets are captured without it, super-packets count as one packet, and \
                               every sample has the flag no_vnet_header; use Linux 6.2 or later, or \
                               turn off tso, gso and gro with ethtool -K";
        match self {
            Self::Full => f.write_str("PACKET_VNET_HDR describes TCP and UDP super-packets"),
            Self::Refused => write!(f, "the kernel has no PACKET_VNET_HDR: {WITHOUT}"),
            Self::DropsUdp => {
                write!(f, "the kernel's PACKET_VNET_HDR drops UDP super-packets: {WITHOUT}")
            }
            Self::Untried(why) => write!(
                f,
                "can't test whether PACKET_VNET_HDR describes UDP super-packets \
                 ({why}); if it doesn't, they count as drops"
            ),
        }
    }
}

/// The packets that arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// The super-packet with a correct header.
    whole: bool,
    /// Its segments: the loopback has no UDP GSO.
    cut: bool,
    /// The marker.
    marker: bool,
}

/// Runs the test. Takes some milliseconds; needs CAP_NET_RAW and an active loopback.
#[must_use]
pub fn examine() -> VnetHeaderSupport {
    let mut seen = Seen::default();
    for _ in 0..TRIES {
        match attempt() {
            Ok(more) => seen = seen.and(more),
            Err(AttemptError::Ring(RingError::VnetHeader(_))) => return VnetHeaderSupport::Refused,
            Err(error) => return VnetHeaderSupport::Untried(error.in_full().to_string()),
        }
        if seen.whole || seen.cut {
            break;
        }
    }
    judge(seen)
}

/// Runs the test and logs a problem.
#[must_use]
pub fn probe() -> VnetHeaderSupport {
    let support = examine();
    match &support {
        VnetHeaderSupport::Full => tracing::debug!("{support}"),
        VnetHeaderSupport::Untried(_) => tracing::info!("{support}"),
        VnetHeaderSupport::Refused | VnetHeaderSupport::DropsUdp => tracing::warn!("{support}"),
    }
    support
}

fn judge(seen: Seen) -> VnetHeaderSupport {
    match seen {
        Seen { whole: true, .. } => VnetHeaderSupport::Full,
        Seen { cut: true, .. } => {
            VnetHeaderSupport::Untried("the loopback has no UDP GSO".to_owned())
        }
        Seen { marker: true, .. } => VnetHeaderSupport::DropsUdp,
        Seen { marker: false, .. } => {
            VnetHeaderSupport::Untried("the loopback carries nothing".to_owned())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("on the loopback")]
    Io(#[from] io::Error),
    #[error("the kernel has no UDP GSO")]
    NoGso(#[source] nix::Error),
}

fn attempt() -> Result<Seen, AttemptError> {
    let config =
        RingConfig { block_size: 64 << 10, block_count: 16, retire_ms: 1, ..RingConfig::default() };
    let mut ring = Ring::open("lo", &config)?;
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = receiver.local_addr()?.port();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect((Ipv4Addr::LOCALHOST, port))?;
    let segment = |len: u16| setsockopt(&sender, UdpGsoSegment, &i32::from(len));
    segment(SEGMENT).map_err(AttemptError::NoGso)?;
    sender.send(&[0; PAYLOAD])?;
    segment(0).map_err(AttemptError::NoGso)?;
    sender.send(&[0; MARKER])?;

    let mut seen = Seen::default();
    let deadline = Instant::now() + PATIENCE;
    while !seen.marker && Instant::now() < deadline {
        ring.wait(5)?;
        while let Some(block) = ring.next_block() {
            seen = block
                .packets()
                .filter(|packet| destination_port(packet) == Some(port))
                .fold(seen, |seen, packet| seen.and(Seen::of(&packet)));
        }
    }
    Ok(seen)
}

impl Seen {
    const fn and(self, other: Self) -> Self {
        Self {
            whole: self.whole || other.whole,
            cut: self.cut || other.cut,
            marker: self.marker || other.marker,
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "constants of a few hundred")]
    fn of(packet: &Packet<'_>) -> Self {
        let gso = packet.vnet.is_some_and(|vnet| vnet.is_gso());
        Self {
            whole: gso && packet.len == HEADERS_LEN + PAYLOAD as u32,
            cut: packet.len == HEADERS_LEN + u32::from(SEGMENT),
            marker: packet.len == HEADERS_LEN + MARKER as u32,
        }
    }
}

/// Destination port of a UDP packet (RFC 768).
fn destination_port(packet: &Packet<'_>) -> Option<u16> {
    const UDP: u8 = 17;
    let (protocol, at) = Headers::of_ethernet(packet.headers, packet.vlan_stripped).transport?;
    let port = packet.headers.get(usize::from(at) + 2..)?.first_chunk()?;
    (protocol == UDP).then(|| u16::from_be_bytes(*port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_packet_that_never_came_was_dropped_only_if_what_followed_it_came() {
        let seen = |whole, cut, marker| Seen { whole, cut, marker };
        assert_eq!(judge(seen(true, false, true)), VnetHeaderSupport::Full);
        assert_eq!(judge(seen(true, false, false)), VnetHeaderSupport::Full);
        assert_eq!(judge(seen(false, false, true)), VnetHeaderSupport::DropsUdp);
        for unknown in [seen(false, true, true), seen(false, false, false)] {
            assert!(matches!(judge(unknown), VnetHeaderSupport::Untried(_)), "{unknown:?}");
        }
    }

    #[test]
    fn the_header_is_used_unless_it_is_known_to_lose_packets_and_the_way_out_is_said() {
        let untried = VnetHeaderSupport::Untried("lo is down".to_owned());
        assert!(VnetHeaderSupport::Full.is_usable() && untried.is_usable());
        assert!(untried.to_string().contains("lo is down"));
        for support in [VnetHeaderSupport::Refused, VnetHeaderSupport::DropsUdp] {
            assert!(!support.is_usable());
            assert!(support.to_string().contains("6.2"), "{support}");
        }
    }
}
