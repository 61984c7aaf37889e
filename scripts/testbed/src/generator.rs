//! XDP: a packet generator with live frames, faster than any socket, and a program that drops some
//! packets before any tap.
//!
//! `BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES` runs an XDP program over many copies of a
//! packet. Whatever the program passes goes up the stack as if the NIC had received it. This program
//! passes everything. The packets are addressed to another host, so the kernel discards them right
//! behind the taps and one CPU makes more than a million per second. The NIC's own counters don't see
//! them. Needs root (`CAP_BPF` and `CAP_NET_ADMIN` of the first user namespace) and Linux 5.18.
//!
//! Layouts and numbers are from `include/uapi/linux/bpf.h`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `BPF_PROG_LOAD` and `BPF_PROG_TEST_RUN` of `enum bpf_cmd`.
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_PROG_TYPE_XDP` of `enum bpf_prog_type`.
const TYPE_XDP: u32 = 6;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`.
const LIVE_FRAMES: u32 = 1 << 1;
/// `r0 = XDP_PASS; exit`, two `struct bpf_insn`.
const PASS_ALL: [u64; 2] = [0x0000_0002_0000_00B7, 0x0000_0000_0000_0095];
/// `BPF_LINK_CREATE` of `enum bpf_cmd`.
const LINK_CREATE: libc::c_int = 28;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE`: runs before the taps and after the NIC's counters, with any driver.
const SKB_MODE: u32 = 1 << 1;
/// Gives each packet over IPv4 a random source address and passes it, as `struct bpf_insn`:
/// ```text
/// r6 = ctx; r7 = data; r8 = data_end; r2 = r7 + 34; if r2 > r8 goto pass
/// r0 = bpf_get_prandom_u32(); r0 &= the mask; bytes 26..30 (the source) = r0
/// pass: r0 = XDP_PASS; exit
/// ```
const fn pass_from_random(mask: u32) -> [u64; 11] {
    [
        0x0000_0000_0000_16BF,
        0x0000_0000_0000_6761,
        0x0000_0000_0004_6861,
        0x0000_0000_0000_72BF,
        0x0000_0022_0000_0207,
        0x0000_0000_0003_822D,
        0x0000_0007_0000_0085,
        0x0000_0000_0000_0057 | (mask as u64) << 32,
        0x0000_0000_001A_0763,
        PASS_ALL[0],
        PASS_ALL[1],
    ]
}

/// Most packets per batch of the kernel.
const BATCH: u32 = 256;

/// `union bpf_attr` for `BPF_PROG_LOAD`, up to the part that may be left out if zero.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    // Explicit, because the kernel reads it and requires zeros.
    padding: u32,
}

/// `struct xdp_md`.
#[repr(C)]
#[derive(Default)]
struct XdpContext {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

/// Makes packets that a NIC of this namespace receives.
#[derive(Debug)]
pub struct Generator {
    program: OwnedFd,
    interface: u32,
}

impl Generator {
    /// A generator for a NIC. A veth needs GRO on to take such packets.
    ///
    /// # Errors
    /// Those of bpf(2), most often missing root.
    pub fn on(nic: &str) -> io::Result<Self> {
        let interface = nix::net::if_::if_nametoindex(nic)?;
        Ok(Self { program: load_xdp(&PASS_ALL)?, interface })
    }

    /// A generator whose packets, over IPv4, come from random addresses: only the bits of the mask are
    /// set, of which the lowest is the lowest of the address's first byte.
    ///
    /// # Errors
    /// Those of bpf(2), most often missing root.
    pub fn from_random(nic: &str, mask: u32) -> io::Result<Self> {
        let interface = nix::net::if_::if_nametoindex(nic)?;
        Ok(Self { program: load_xdp(&pass_from_random(mask))?, interface })
    }

    /// Lets the NIC receive `copies` copies of a packet of at most 1,500 bytes from the MAC header on.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn send(&self, packet: &[u8], copies: u32) -> io::Result<()> {
        let len = u32::try_from(packet.len()).map_err(io::Error::other)?;
        let context =
            XdpContext { data_end: len, ingress_ifindex: self.interface, ..XdpContext::default() };
        let run = TestRun {
            prog_fd: self.program.as_raw_fd().cast_unsigned(),
            data_size_in: len,
            data_in: packet.as_ptr() as u64,
            repeat: copies,
            ctx_size_in: size_of_u32::<XdpContext>(),
            ctx_in: std::ptr::from_ref(&context) as u64,
            flags: LIVE_FRAMES,
            batch_size: copies.min(BATCH),
            ..TestRun::default()
        };
        // SAFETY: `packet` and `context` are live for the call and as long as `run` says; live
        // frames write nothing back, and no room is given for it.
        unsafe { bpf(PROG_TEST_RUN, &run) }.map(|_| ())
    }
}

/// A UDP packet over IPv4 of `len` bytes (at least 42) from one unknown host to another.
#[must_use]
pub fn udp_packet(len: usize) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[..14].copy_from_slice(&[2, 0, 0, 0, 0xFF, 1, 2, 0, 0, 0, 0xFF, 2, 8, 0]);
    let ip_len = u16::try_from(len - 14).expect("a packet");
    packet[14..16].copy_from_slice(&[0x45, 0]);
    packet[16..18].copy_from_slice(&ip_len.to_be_bytes());
    // Time to live 64, UDP, from 192.0.2.1 to 192.0.2.2 (RFC 5737), port 9 to port 9 (discard).
    packet[22..24].copy_from_slice(&[64, 17]);
    packet[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    let checksum = checksum(&packet[14..34]);
    packet[24..26].copy_from_slice(&checksum.to_be_bytes());
    packet[34..38].copy_from_slice(&[0, 9, 0, 9]);
    packet[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
    packet
}

/// The Internet checksum (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let words =
        header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !u16::try_from((folded & 0xFFFF) + (folded >> 16)).expect("folded to 16 bits")
}

/// Drops UDP over IPv4 and passes everything else, as `struct bpf_insn`:
/// ```text
/// r2 = data; r3 = data_end; r4 = r2 + 24; if r4 > r3 goto pass
/// r5 = byte 23 (the protocol); if r5 == 17 goto drop
/// pass: r0 = XDP_PASS; exit
/// drop: r0 = XDP_DROP; exit
/// ```
const DROP_UDP: [u64; 11] = [
    0x0000_0000_0000_1261, // r2 = *(u32 *)(r1 + 0)
    0x0000_0000_0004_1361, // r3 = *(u32 *)(r1 + 4)
    0x0000_0000_0000_24BF, // r4 = r2
    0x0000_0018_0000_0407, // r4 += 24
    0x0000_0000_0002_342D, // if r4 > r3 goto +2
    0x0000_0000_0017_2571, // r5 = *(u8 *)(r2 + 23)
    0x0000_0011_0002_0515, // if r5 == 17 goto +2
    0x0000_0002_0000_00B7, // r0 = 2
    0x0000_0000_0000_0095, // exit
    0x0000_0001_0000_00B7, // r0 = 1
    0x0000_0000_0000_0095, // exit
];

/// `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// A NIC whose received UDP packets are dropped before any tap until this value is dropped.
#[derive(Debug)]
pub struct UdpDropped {
    _link: OwnedFd,
}

impl UdpDropped {
    /// Starts dropping on a NIC of this namespace.
    ///
    /// # Errors
    /// Those of bpf(2), most often missing root.
    pub fn on(nic: &str) -> io::Result<Self> {
        let program = load_xdp(&DROP_UDP)?;
        let attr = LinkCreate {
            prog_fd: program.as_raw_fd().cast_unsigned(),
            target_ifindex: nix::net::if_::if_nametoindex(nic)?,
            attach_type: ATTACH_XDP,
            flags: SKB_MODE,
        };
        // SAFETY: the command reads these four words and no pointer.
        let link = unsafe { bpf_fd(LINK_CREATE, &attr) }?;
        Ok(Self { _link: link })
    }
}

/// Loads an XDP program; the kernel verifies it.
fn load_xdp(program: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let load = Load {
        prog_type: TYPE_XDP,
        insn_cnt: u32::try_from(program.len()).map_err(io::Error::other)?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    // SAFETY: the two pointers in `load` are live for the call, to as many instructions as it says
    // and to a text that ends with a zero.
    unsafe { bpf_fd(PROG_LOAD, &load) }
}

/// Calls bpf(2) for a command that makes a descriptor.
///
/// # Safety
/// As for [`bpf`], and the command must return a descriptor.
unsafe fn bpf_fd<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the descriptor was made just above, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls bpf(2).
///
/// # Safety
/// `attr` must be laid out as the command reads `union bpf_attr`, and every pointer in it be
/// valid for what the command does with it.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<libc::c_int> {
    // SAFETY: `attr` is live for the call and its size is given; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of_u32::<T>())
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(io::Error::other)
}

/// The size of a struct of a few words.
#[allow(clippy::cast_possible_truncation, reason = "a few words")]
const fn size_of_u32<T>() -> u32 {
    size_of::<T>() as u32
}
