//! Frames: one report of an agent, self-contained, with numbers within its session.
//!
//! All byte figures are bytes on the wire, from the MAC header to the end of the payload: without FCS,
//! preamble and inter-packet gap.

use rkyv::{Archive, Deserialize, Serialize};

use crate::amount::{Bytes, Packets};
pub use crate::flags;
pub use crate::gap::Gap;
use crate::id::{NicName, SessionId};
use crate::seq::Seq;
use crate::talkers::{RECORDS_MAX, Talkers, TalkersError};
use crate::time::WallNs;

/// Most samples in a frame. The validator checks this first.
pub const SAMPLES_MAX: usize = 1024;

/// Most samples, or mixes, beside talkers: so a frame with talkers is never too long.
pub const SAMPLES_WITH_TALKERS_MAX: usize = 256;

/// Longest interval of a sample, nanoseconds (60 s, or a day once coarsened).
pub const INTERVAL_MAX_NS: u64 = 86_400_000_000_000;

/// Shortest configurable interval, nanoseconds (10 ms). The first and last sample of a capture may be
/// shorter.
pub const INTERVAL_MIN_NS: u64 = 10_000_000;

/// One report. It covers the sequence numbers `first_seq..=last_seq` of its session: one number when
/// made, more after the spool has coarsened frames or replaced them with a gap. The records of a
/// session are contiguous.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Frame {
    /// Random id of the agent's run.
    pub session: SessionId,
    /// First sequence number covered, from 1.
    pub first_seq: Seq,
    /// Last sequence number covered.
    pub last_seq: Seq,
    /// 0 for a frame with all its samples; otherwise the reason why samples are missing ([`Gap`]).
    pub gap: u8,
    /// The samples, of any number of intervals and NICs. A gap has one per NIC, with exact counts for
    /// the whole range.
    pub samples: Vec<Sample>,
    /// Breakdown of the traffic, for the intervals whose mix ended with this frame.
    pub mixes: Vec<Mix>,
    /// Who had the traffic, for the intervals whose talkers ended with this frame. The archive of the
    /// frame doesn't have them ([`crate::codec`]).
    #[rkyv(with = rkyv::with::Skip)]
    pub talkers: Vec<Talkers>,
}

/// The traffic of one NIC in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Sample {
    /// Name of the NIC.
    pub nic: NicName,
    /// Start of the interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the interval in nanoseconds.
    pub interval_ns: u64,
    /// Received traffic.
    pub rx: Counts,
    /// Transmitted traffic.
    pub tx: Counts,
    /// Packets dropped because the ring was full, both directions. No other figure includes them.
    pub drops: Packets,
    /// Times the ring ran full.
    pub freezes: u32,
    /// Packets counted here whose own interval was already reported, after a long stall.
    pub late: u32,
    /// Packets that are not fully known: those counted as captured although they may be super-packets,
    /// because their headers could not be read or the ring has no `PACKET_VNET_HDR`; and those whose
    /// protocol or TCP flags are behind the snaplen.
    pub inexact: u32,
    /// Further facts, a set of [`flags`].
    pub flags: u32,
    /// Changes of the kernel's own counters of the NIC since the previous sample (`rtnl_link_stats64`).
    /// With segmentation offload they count super-packets.
    pub kernel: KernelCounts,
}

/// One direction of a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes on the wire.
    pub bytes: Bytes,
    /// Packets on the wire.
    pub packets: Packets,
    /// Packets as the tap saw them; with offload, fewer than on the wire.
    pub captured: Packets,
    /// Most bytes within any 1 ms of the interval, at most 2^31 - 1. Windows slide by 62.5 µs, so the
    /// figure lies between the true peaks of windows of 1 ms - 62.5 µs and 1 ms.
    pub peak_1ms_bytes: u32,
    /// Most bytes within any 10 ms of the interval, at most 2^31 - 1, with the same steps. For shorter
    /// intervals, all bytes.
    pub peak_10ms_bytes: u32,
    /// Bytes on the wire since the session began, including this interval.
    pub total_bytes: Bytes,
    /// Packets on the wire since the session began, including this interval.
    pub total_packets: Packets,
}

/// Changes of the kernel's counters of a NIC over an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct KernelCounts {
    /// `rx_packets`.
    pub rx_packets: Packets,
    /// `tx_packets`.
    pub tx_packets: Packets,
    /// `rx_bytes`.
    pub rx_bytes: Bytes,
    /// `tx_bytes`.
    pub tx_bytes: Bytes,
    /// `rx_dropped` + `rx_missed_errors` (the NIC was full) + `tx_dropped`.
    pub dropped: Packets,
    /// `rx_errors` + `tx_errors`.
    pub errors: Packets,
}

/// Breakdown of one NIC's traffic over one mix interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Mix {
    /// Name of the NIC.
    pub nic: NicName,
    /// Start of the mix interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length of the mix interval in nanoseconds.
    pub interval_ns: u64,
    /// Received traffic.
    pub rx: MixCounts,
    /// Transmitted traffic.
    pub tx: MixCounts,
    /// Changes of the kernel's own counters over the mix interval.
    pub kernel: KernelCounts,
}

/// Number of classes of the size histogram.
pub const SIZE_CLASSES: usize = 7;

/// Largest packet of each size class except the last, bytes on the wire including the FCS of 4 bytes,
/// as in RMON (RFC 2819, `etherStatsPkts64Octets` and following).
pub const SIZE_CLASS_MAX: [u64; SIZE_CLASSES - 1] = [64, 127, 255, 511, 1023, 1518];

/// One direction of a mix, packets and bytes on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct MixCounts {
    /// Multicast packets.
    pub multicast_packets: Packets,
    /// Broadcast packets.
    pub broadcast_packets: Packets,
    /// Packets by size class ([`SIZE_CLASS_MAX`]).
    pub size_packets: [Packets; SIZE_CLASSES],
    /// Bytes of IPv4 packets.
    pub ipv4_bytes: Bytes,
    /// Bytes of IPv6 packets.
    pub ipv6_bytes: Bytes,
    /// Bytes of ARP packets.
    pub arp_bytes: Bytes,
    /// Bytes of packets of other network protocols.
    pub other_bytes: Bytes,
    /// TCP packets.
    pub tcp_packets: Packets,
    /// Bytes of TCP packets.
    pub tcp_bytes: Bytes,
    /// UDP packets.
    pub udp_packets: Packets,
    /// Bytes of UDP packets.
    pub udp_bytes: Bytes,
    /// ICMP and ICMPv6 packets.
    pub icmp_packets: Packets,
    /// Bytes of ICMP and ICMPv6 packets.
    pub icmp_bytes: Bytes,
    /// IP packets of other transport protocols, including fragments after the first.
    pub other_transport_packets: Packets,
    /// Bytes of IP packets of other transport protocols, including fragments after the first.
    pub other_transport_bytes: Bytes,
    /// TCP packets with SYN set.
    pub tcp_syn_packets: Packets,
    /// TCP packets with RST set.
    pub tcp_rst_packets: Packets,
}

/// Why a decoded frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Invalid sequence numbers.
    #[error("sequence numbers {first}..={last}: they start at 1 and don't run backwards")]
    Sequence {
        /// First of the range.
        first: Seq,
        /// Last of the range.
        last: Seq,
    },
    /// Too many samples or mixes.
    #[error("{0} samples or mixes in one frame; at most {SAMPLES_MAX} are allowed")]
    TooManySamples(usize),
    /// An unknown gap reason.
    #[error("gap reason {0} is unknown")]
    Gap(u8),
    /// A name that no NIC can have.
    #[error("a sample's NIC name is empty or not terminated")]
    NicName,
    /// An interval out of range.
    #[error("an interval of {0} ns; 1 ns to one day are allowed")]
    Interval(u64),
    /// Too many records of talkers.
    #[error(
        "{records} records of talkers beside {samples} samples or mixes in one frame; at most \
         {RECORDS_MAX} beside {SAMPLES_WITH_TALKERS_MAX} are allowed"
    )]
    TooManyTalkers {
        /// Records of talkers.
        records: usize,
        /// Samples or mixes, whichever are more.
        samples: usize,
    },
    /// Talkers that can't be.
    #[error(transparent)]
    Talkers(#[from] TalkersError),
    /// A figure beyond the database's signed 64-bit numbers.
    #[error("a figure above 2^63 - 1")]
    TooLarge,
}

impl Frame {
    /// Checks constraints beyond the types. Called on everything received, and before sending or
    /// storing.
    ///
    /// # Errors
    /// [`FrameError`] names the violation.
    pub fn check(&self) -> Result<(), FrameError> {
        if self.first_seq < Seq::FIRST || self.last_seq < self.first_seq || self.last_seq > Seq(MAX)
        {
            return Err(FrameError::Sequence { first: self.first_seq, last: self.last_seq });
        }
        let most = self.samples.len().max(self.mixes.len());
        if most > SAMPLES_MAX {
            return Err(FrameError::TooManySamples(most));
        }
        if self.gap > Gap::Forked as u8 {
            return Err(FrameError::Gap(self.gap));
        }
        self.samples.iter().try_for_each(Sample::check)?;
        self.mixes.iter().try_for_each(Mix::check)?;
        let records = self.talkers.len();
        if records > RECORDS_MAX || (records > 0 && most > SAMPLES_WITH_TALKERS_MAX) {
            return Err(FrameError::TooManyTalkers { records, samples: most });
        }
        self.talkers.iter().try_for_each(|it| {
            check_interval(&it.nic, it.start_ns, it.interval_ns)?;
            Ok(it.check()?)
        })
    }
}

/// Largest figure that a signed 64-bit column holds.
pub(crate) const MAX: u64 = i64::MAX as u64;

/// Largest figure that a signed 32-bit column holds.
pub(crate) const MAX_PEAK: u32 = i32::MAX as u32;

/// Checks the parts that every record of a NIC's interval has.
fn check_interval(nic: &NicName, start_ns: WallNs, interval_ns: u64) -> Result<(), FrameError> {
    if nic.as_str().is_none() {
        return Err(FrameError::NicName);
    }
    if !(1..=INTERVAL_MAX_NS).contains(&interval_ns) {
        return Err(FrameError::Interval(interval_ns));
    }
    check_figures([start_ns.get()])
}

fn check_figures(figures: impl IntoIterator<Item = u64>) -> Result<(), FrameError> {
    if figures.into_iter().any(|figure| figure > MAX) { Err(FrameError::TooLarge) } else { Ok(()) }
}

impl Sample {
    fn check(&self) -> Result<(), FrameError> {
        check_interval(&self.nic, self.start_ns, self.interval_ns)?;
        check_figures([self.drops.get()])?;
        check_figures(self.kernel.figures())?;
        [self.rx, self.tx].iter().try_for_each(|counts| {
            if counts.peak_1ms_bytes.max(counts.peak_10ms_bytes) > MAX_PEAK {
                return Err(FrameError::TooLarge);
            }
            let Counts { bytes, packets, captured, total_bytes, total_packets, .. } = *counts;
            check_figures([bytes, total_bytes].map(Bytes::get))?;
            check_figures([packets, captured, total_packets].map(Packets::get))
        })
    }
}

impl Mix {
    fn check(&self) -> Result<(), FrameError> {
        check_interval(&self.nic, self.start_ns, self.interval_ns)?;
        check_figures(self.kernel.figures())?;
        check_figures(self.rx.figures())?;
        check_figures(self.tx.figures())
    }
}

impl KernelCounts {
    pub(crate) fn figures(&self) -> impl Iterator<Item = u64> + use<> {
        let mut copy = *self;
        copy.figures_mut().map(|figure| *figure).into_iter()
    }

    /// Every figure, in a fixed order, for what treats bytes and packets alike.
    pub(crate) fn figures_mut(&mut self) -> [&mut u64; 6] {
        let Self { rx_packets, tx_packets, rx_bytes, tx_bytes, dropped, errors } = self;
        [
            &mut rx_packets.0,
            &mut tx_packets.0,
            &mut rx_bytes.0,
            &mut tx_bytes.0,
            &mut dropped.0,
            &mut errors.0,
        ]
    }
}

impl MixCounts {
    /// Number of figures.
    pub const FIGURES: usize = size_of::<Self>() / size_of::<u64>();

    pub(crate) fn figures(&self) -> impl Iterator<Item = u64> + use<> {
        let mut figures = [0; Self::FIGURES];
        let mut copy = *self;
        for (figure, own) in figures.iter_mut().zip(copy.figures_mut()) {
            *figure = *own;
        }
        figures.into_iter()
    }

    /// Every figure, in a fixed order: the plain numbers, for what treats bytes and packets alike
    /// (coarsening, bounds, a bank's counters, a store's columns).
    #[inline]
    pub fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self {
            multicast_packets,
            broadcast_packets,
            size_packets,
            ipv4_bytes,
            ipv6_bytes,
            arp_bytes,
            other_bytes,
            tcp_packets,
            tcp_bytes,
            udp_packets,
            udp_bytes,
            icmp_packets,
            icmp_bytes,
            other_transport_packets,
            other_transport_bytes,
            tcp_syn_packets,
            tcp_rst_packets,
        } = self;
        let kinds = [multicast_packets, broadcast_packets, tcp_syn_packets, tcp_rst_packets];
        let kinds = kinds.into_iter().chain(size_packets).map(|packets| &mut packets.0);
        let network = [ipv4_bytes, ipv6_bytes, arp_bytes, other_bytes].map(|bytes| &mut bytes.0);
        let transport = [
            &mut tcp_packets.0,
            &mut tcp_bytes.0,
            &mut udp_packets.0,
            &mut udp_bytes.0,
            &mut icmp_packets.0,
            &mut icmp_bytes.0,
            &mut other_transport_packets.0,
            &mut other_transport_bytes.0,
        ];
        kinds.chain(network).chain(transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let sample = Sample {
            nic: NicName::new("eth0").unwrap(),
            interval_ns: 500_000_000,
            ..Sample::default()
        };
        Frame {
            session: SessionId::new(7),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples: vec![sample],
            mixes: vec![],
            talkers: vec![],
        }
    }

    #[test]
    fn a_sound_frame_passes() {
        assert_eq!(frame().check(), Ok(()));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let mut zero = frame();
        zero.first_seq = Seq(0);
        assert!(matches!(zero.check(), Err(FrameError::Sequence { .. })));
        let mut nameless = frame();
        nameless.samples[0].nic = NicName::default();
        assert_eq!(nameless.check(), Err(FrameError::NicName));
        let mut short = frame();
        short.samples[0].interval_ns = 0;
        assert_eq!(short.check(), Err(FrameError::Interval(0)));
        let mut huge = frame();
        huge.samples[0].tx.peak_1ms_bytes = u32::MAX;
        assert_eq!(huge.check(), Err(FrameError::TooLarge));
        let mut many = frame();
        many.samples = vec![many.samples[0]; SAMPLES_MAX + 1];
        assert_eq!(many.check(), Err(FrameError::TooManySamples(SAMPLES_MAX + 1)));
    }
}
