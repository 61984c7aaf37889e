//! The packet socket of a ring, opened in the only order that counts no packet of another NIC.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};

use afpacket::sync::RawPacketStream;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::abi::{AF_PACKET, BPF_RET_K, ETH_P_ALL, PROMISCUOUS, TPACKET_V3};
use super::error::RingError;
use super::geometry::RingConfig;

/// Opens a packet socket that receives nothing yet. Sets version, virtio header and filter, and
/// requests the ring; only [`bind`] lets packets in.
pub(super) fn open(config: &RingConfig) -> Result<RawPacketStream, RingError> {
    // Without a protocol the socket receives nothing until it is bound (packet(7)).
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| RingError::open(errno.into()))?;
    // SAFETY: R7; the descriptor was made just above and its ownership is given up here, so the
    // stream is its only owner and closes it once.
    let mut stream = unsafe { RawPacketStream::from_raw_fd(fd.into_raw_fd()) };
    let fd = stream.as_raw_fd();
    set(fd, libc::PACKET_VERSION, &TPACKET_V3).map_err(RingError::Version)?;
    if config.vnet_header {
        set(fd, libc::PACKET_VNET_HDR, &1i32).map_err(RingError::VnetHeader)?;
    }
    set_snaplen(&mut stream, config.snaplen)?;
    let request = libc::tpacket_req3 {
        tp_block_size: config.block_size,
        tp_block_nr: config.block_count,
        // V3 packs packets of any size into a block: the frame size only has to divide it.
        tp_frame_size: RingConfig::FRAME_SIZE,
        tp_frame_nr: config.block_size / RingConfig::FRAME_SIZE * config.block_count,
        tp_retire_blk_tov: config.retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(fd, libc::PACKET_RX_RING, &request).map_err(RingError::ring)?;
    Ok(stream)
}

/// Sets the number of bytes captured per packet; 0 lets no packet in.
pub(super) fn set_snaplen(stream: &mut RawPacketStream, snaplen: u32) -> Result<(), RingError> {
    stream.set_bpf_filter(vec![(BPF_RET_K, 0, 0, snaplen)]).map_err(RingError::Filter)
}

/// Lets in the packets of one NIC, both directions (`ETH_P_ALL`). Binds by index, because the name may
/// now belong to another NIC or may not be text. `nic` is the display name.
pub(super) fn bind(
    stream: &mut RawPacketStream,
    index: u32,
    nic: &str,
    config: &RingConfig,
) -> Result<(), RingError> {
    if config.fanout.is_some() {
        // Before it joins the group, it would also see packets of the other rings.
        set_snaplen(stream, 0)?;
    }
    let fd = stream.as_raw_fd();
    bind_to(fd, index).map_err(|error| RingError::bind(nic, error))?;
    if config.promiscuous {
        let membership = libc::packet_mreq {
            mr_ifindex: index.cast_signed(),
            mr_type: PROMISCUOUS,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let promiscuous = set(fd, libc::PACKET_ADD_MEMBERSHIP, &membership);
        promiscuous.map_err(|error| RingError::promiscuous(nic, error))?;
    }
    if let Some(group) = config.fanout {
        // The type is in the upper half, the group's id in the lower. Hashing by flow keeps a flow's
        // packets in order.
        let by_flow = libc::PACKET_FANOUT_HASH << 16 | libc::c_uint::from(group);
        let joined = set(stream.as_raw_fd(), libc::PACKET_FANOUT, &by_flow);
        joined.map_err(|error| RingError::fanout(nic, error))?;
        set_snaplen(stream, config.snaplen)?;
    }
    Ok(())
}

fn bind_to(fd: RawFd, index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: AF_PACKET,
        sll_protocol: ETH_P_ALL.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = option_len::<libc::sockaddr_ll>();
    // SAFETY: R8; `address` is live for the call and `len` is its size, so the kernel reads no further.
    let result = unsafe { libc::bind(fd, (&raw const address).cast(), len) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads and resets the kernel's statistics of the ring.
pub(super) fn statistics(fd: RawFd) -> io::Result<libc::tpacket_stats_v3> {
    let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut len = option_len::<libc::tpacket_stats_v3>();
    // SAFETY: R8; `stats` and `len` are live for the call, and `len` is the size of `stats`, so the
    // kernel writes no further.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(stats) }
}

/// The kernel's index of the NIC that the socket is bound to. `None` once the NIC is deleted or in
/// another namespace.
pub(super) fn nic_index(fd: RawFd) -> Option<u32> {
    let mut address = libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let mut len = option_len::<libc::sockaddr_ll>();
    // SAFETY: R8; `address` and `len` are live for the call, and `len` is the size of `address`, so
    // the kernel writes no further.
    let result = unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut len) };
    u32::try_from(address.sll_ifindex).ok().filter(|&index| result == 0 && index > 0)
}

/// Sets an option of the packet socket.
fn set<T: Copy>(fd: RawFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = option_len::<T>();
    // SAFETY: R8; `value` is live for the call and `len` is its size, so the kernel reads no further.
    let result = unsafe {
        libc::setsockopt(fd, libc::SOL_PACKET, option, std::ptr::from_ref(value).cast(), len)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The size of an option's value for socket calls.
#[allow(clippy::cast_possible_truncation, reason = "options are structs of a few words")]
const fn option_len<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
