//! Seeds from the kernel's interfaces and from spools.

use testbed::generator::udp_packet;

use super::inputs::Seeds;

pub(super) fn all() -> Vec<(&'static str, Seeds)> {
    vec![
        ("packet", packets()),
        ("block", blocks()),
        ("netlink", netlink()),
        ("net_dev", net_dev()),
        ("spool", spool()),
    ]
}

/// A captured packet: its first bytes, its length on the wire, and how the kernel would segment it
/// (`gso_type`, `gso_size`, `csum_start`).
struct Captured {
    name: &'static str,
    bytes: Vec<u8>,
    len: u16,
    gso: Option<(u8, u16, u16)>,
}

fn captured() -> Vec<Captured> {
    let plain = |name, bytes: Vec<u8>| {
        let len = u16::try_from(bytes.len()).unwrap();
        Captured { name, bytes, len, gso: None }
    };
    let udp = udp_packet(90);
    let mut tcp = udp.clone();
    (tcp[23], tcp[46]) = (6, 8 << 4);
    let mut syn = tcp.clone();
    syn[47] = 2;
    let mut ipv6 = vec![0; 100];
    ipv6[12..15].copy_from_slice(&[0x86, 0xDD, 0x60]);
    (ipv6[20], ipv6[66]) = (6, 5 << 4);
    let mut extensions = vec![0; 110];
    extensions[12..15].copy_from_slice(&[0x86, 0xDD, 0x60]);
    // Hop-by-hop, routing, fragment, UDP.
    (extensions[20], extensions[54], extensions[62], extensions[70]) = (0, 43, 44, 17);
    let mut tagged = udp.clone();
    tagged.splice(12..12, [0x88, 0xA8, 0, 7, 0x81, 0, 0, 9]);
    let mut arp = vec![0; 42];
    arp[..6].fill(0xFF);
    arp[12..14].copy_from_slice(&[8, 6]);
    let large = Captured { name: "tso", bytes: tcp.clone(), len: 20_066, gso: Some((1, 1448, 34)) };
    let large6 =
        Captured { name: "tso6", bytes: ipv6.clone(), len: 9074, gso: Some((4, 1428, 54)) };
    let uso = Captured { name: "uso", bytes: udp.clone(), len: 4042, gso: Some((5, 1000, 34)) };
    vec![
        plain("udp", udp),
        plain("tcp", tcp),
        plain("syn", syn),
        plain("ipv6", ipv6),
        plain("extensions", extensions),
        plain("tagged", tagged),
        plain("arp", arp),
        large,
        large6,
        uso,
    ]
}

/// The kernel's fields as the target parses them, then the bytes.
fn packets() -> Seeds {
    let seed = |Captured { name, bytes, len, gso }: Captured| {
        let mut said = [0; 18];
        if let Some((kind, size, start)) = gso {
            (said[0], said[1]) = (1, kind);
            said[2..4].copy_from_slice(&size.to_ne_bytes());
            said[4..6].copy_from_slice(&start.to_ne_bytes());
        }
        said[6..8].copy_from_slice(&len.to_ne_bytes());
        said[9] = 1;
        said[10] = 14;
        (name, [&said[..], &bytes].concat())
    };
    captured().into_iter().map(seed).collect()
}

/// Blocks with virtio headers, from behind the status word (`include/uapi/linux/if_packet.h`).
fn blocks() -> Seeds {
    let all = captured();
    let one = block(&all[..1]);
    // Its packet count is higher than its number of packets.
    let endless = [&[0xFF; 4][..], &one[4..]].concat();
    vec![("one", one), ("ten", block(&all)), ("empty", block(&[])), ("endless", endless)]
}

fn block(packets: &[Captured]) -> Vec<u8> {
    const DESCRIPTOR: usize = 48;
    const AFTER_STATUS: usize = 12;
    const LINK: usize = 48;
    const MAC: usize = 92;
    let word = |n: usize| u32::try_from(n).unwrap().to_ne_bytes();
    let mut block = vec![0; DESCRIPTOR];
    block[12..16].copy_from_slice(&word(packets.len()));
    block[16..20].copy_from_slice(&word(DESCRIPTOR));
    for (n, Captured { bytes, len, gso, .. }) in packets.iter().enumerate() {
        let mut place = vec![0; (MAC + bytes.len()).next_multiple_of(16)];
        let next = if n + 1 == packets.len() { 0 } else { place.len() };
        let fields = [next, 1_800_000_000, 500 * n, bytes.len(), usize::from(*len), 1];
        for (field, value) in place.chunks_exact_mut(4).zip(fields) {
            field.copy_from_slice(&word(value));
        }
        // Offsets of MAC and network header, link type, and direction.
        (place[24], place[26], place[LINK + 8]) = (92, 106, 1);
        place[LINK + 10] = if n % 2 == 0 { 0 } else { 4 };
        if let Some((kind, size, start)) = gso {
            (place[82], place[83]) = (1, *kind);
            place[86..88].copy_from_slice(&size.to_ne_bytes());
            place[88..90].copy_from_slice(&start.to_ne_bytes());
        }
        place[MAC..MAC + bytes.len()].copy_from_slice(bytes);
        block.extend(place);
    }
    block.split_off(AFTER_STATUS)
}

/// Messages about NICs, as rtnetlink(7) describes them.
fn netlink() -> Seeds {
    let word = |n: u32| n.to_ne_bytes().to_vec();
    let nested = |attributes: &[(u16, Vec<u8>)]| attributes.iter().flat_map(attribute).collect();
    let stats: Vec<u8> = (1..=24u64).flat_map(u64::to_ne_bytes).collect();
    let physical = vec![
        (3, b"eth0\0".to_vec()),
        (4, word(1500)),
        (1, vec![2, 0, 0, 0, 0, 1]),
        (16, vec![6]),
        (23, stats),
        (43, nested(&[(2, vec![0])])),
    ];
    let vlan = vec![
        (3, b"eth0.7\0".to_vec()),
        (4, word(1500)),
        (5, word(2)),
        (10, word(9)),
        (18, nested(&[(1, b"vlan\0".to_vec())])),
    ];
    let strange = vec![(3, b"\xff\xfe\x1b[2Jx\0".to_vec()), (4, word(0)), (37, word(1))];
    let dump = [
        message(16, 2, &physical),
        message(16, 3, &vlan),
        message(16, 4, &strange),
        // The end of a dump (NLMSG_DONE).
        message(3, 0, &[]),
    ];
    let gone = message(17, 2, &physical);
    vec![("link", dump[0].clone()), ("dump", dump.concat()), ("gone", gone)]
}

fn attribute((kind, value): &(u16, Vec<u8>)) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, index: u32, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
    let len = u32::try_from(32 + attributes.len()).unwrap();
    let mut header = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[2, 0], &[1, 0, 0, 0]].concat();
    header.resize(16, 0);
    // `struct ifinfomsg`: Ethernet, the index, up and running.
    let about = [&[0, 0, 1, 0][..], &index.to_ne_bytes(), &[0x43, 0, 1, 0], &[0; 4]].concat();
    [header, about, attributes].concat()
}

/// This host's text, and one with every kind of line.
fn net_dev() -> Seeds {
    let here = std::fs::read("/proc/net/dev").unwrap_or_default();
    let lines = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs\n  \
                 eth0: 57577937   41098 1 2 3 4 5 6 7000 80 10 20 0 0 0 0\n\
                 enp0s31f6:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 18446744073709551615\n cut: 1 2\n";
    vec![
        ("here", here),
        (
            "lines",
            [lines.as_bytes(), b"\xff\xfex: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"].concat(),
        ),
    ]
}

/// Rows of a spool, as the target builds them from bytes: the table, then its values.
fn spool() -> Seeds {
    let record = |first: u8, last: u8| vec![3, 7, first, last, 0, 1, 0, 0, 0];
    let whole: Vec<u8> = (6..=40).flat_map(|seq| record(seq, seq)).collect();
    let hole = [record(6, 9), record(20, 30), record(31, 40)].concat();
    let wrong = [record(6, 9), record(9, 30), record(41, 60)].concat();
    let session = vec![0, 9, 5, 200, 100, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 0, 2];
    vec![
        ("whole", whole),
        ("hole", hole),
        ("overlap", wrong),
        ("session", session),
        ("commits", vec![1, 7, 3, 9, 2, 1, 100, 90]),
    ]
}
