//! A NIC as the kernel describes it (rtnetlink(7), `RTM_NEWLINK`).

use netlink_packet_route::link::{
    LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, State, XdpAttached,
};
use wire::id::NicName;
use wire::message::Nic;

/// What a NIC is, as far as it matters for counting each byte once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `lo`: sees each packet twice.
    Loopback,
    /// A port of the host: hardware, or what a hypervisor shows as such.
    Physical,
    /// One end of a pair or of a program: veth, netkit, tun, tap.
    Virtual,
    /// Lies over one other NIC: VLAN, macvlan, ipvlan, DSA port.
    Upper,
    /// Lies over its ports: bond, team, bridge, VRF.
    Aggregate,
    /// Wraps packets into packets of another NIC: VXLAN, GRE, WireGuard and the like.
    Tunnel,
    /// Carries copies or nothing: ifb, nlmon, dummy.
    Copy,
}

/// A NIC of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's index: another NIC of the same name has another.
    pub index: u32,
    /// Its name.
    pub name: NicName,
    /// The kernel's name of its kind, or `physical` or `loopback`.
    pub kind: String,
    /// What follows from that.
    pub class: Class,
    /// Set up by its administrator.
    pub up: bool,
    /// It also has a carrier, or doesn't know of carriers.
    pub running: bool,
    /// Hardware address, zero where it has none of 6 bytes.
    pub mac: [u8; 6],
    /// Largest packet without the MAC header, bytes.
    pub mtu: u32,
    /// Index of the NIC that it lies over, in this namespace.
    pub lower: Option<u32>,
    /// Index of the bond, bridge or the like that it is a port of.
    pub master: Option<u32>,
    /// Index of the other end of a pair, in this namespace.
    pub peer: Option<u32>,
    /// A program of the kernel sees its packets before the tap, and may drop or redirect them.
    pub xdp: bool,
}

impl Link {
    /// Reads a message of the kernel. `None` if it has no usable name, or tells a part only.
    #[must_use]
    pub fn of_message(message: &LinkMessage) -> Option<Self> {
        let header = &message.header;
        let mut link = Self {
            index: header.index,
            name: NicName::default(),
            kind: String::new(),
            class: Class::Physical,
            up: header.flags.contains(LinkFlags::Up),
            running: true,
            mac: [0; 6],
            mtu: 0,
            lower: None,
            master: None,
            peer: None,
            xdp: false,
        };
        let (mut lower_is_elsewhere, mut whole) = (false, false);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = NicName::new(name)?,
                LinkAttribute::Mtu(mtu) => (link.mtu, whole) = (*mtu, true),
                LinkAttribute::Address(mac) => {
                    link.mac = mac.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::OperState(state) => {
                    link.running = matches!(state, State::Up | State::Unknown);
                }
                LinkAttribute::Link(lower) => link.lower = Some(*lower),
                LinkAttribute::LinkNetNsId(_) => lower_is_elsewhere = true,
                LinkAttribute::Controller(master) => link.master = Some(*master),
                LinkAttribute::Xdp(xdp) => link.xdp = xdp.iter().any(is_attached),
                LinkAttribute::LinkInfo(info) => {
                    if let Some(kind) = info.iter().find_map(kind) {
                        link.kind = kind;
                    }
                }
                _ => {}
            }
        }
        link.name.as_str().filter(|_| whole)?;
        link.class = class(&link.kind, header.link_layer_type);
        // A NIC over none names itself.
        link.lower = link.lower.filter(|&lower| lower != link.index && !lower_is_elsewhere);
        if link.class == Class::Virtual {
            // The other end of a pair is not below it.
            link.peer = link.lower.take();
        }
        if link.kind.is_empty() {
            let loopback = link.class == Class::Loopback;
            link.kind = if loopback { "loopback" } else { "physical" }.to_owned();
        }
        if link.class == Class::Physical && link.lower.is_some() {
            link.class = Class::Upper;
        }
        Some(link)
    }

    /// What the collector is told of it.
    #[must_use]
    pub fn describe(&self, stacked: bool, speed_bits: u64) -> Nic {
        Nic {
            name: self.name,
            index: self.index,
            mac: self.mac,
            mtu: self.mtu,
            speed_bits,
            kind: self.kind.clone(),
            up: self.up && self.running,
            stacked,
        }
    }
}

#[cfg(test)]
impl Link {
    /// A NIC that is up, with nothing above or below it.
    pub(crate) fn up(index: u32, name: &str, class: Class) -> Self {
        Self {
            index,
            name: NicName::new(name).unwrap(),
            kind: String::new(),
            class,
            up: true,
            running: true,
            mac: [0; 6],
            mtu: 1500,
            lower: None,
            master: None,
            peer: None,
            xdp: false,
        }
    }
}

fn is_attached(xdp: &LinkXdp) -> bool {
    matches!(xdp, LinkXdp::Attached(how) if *how != XdpAttached::None)
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

/// The class of a kind. A kind that isn't known is taken for a port of its own, so that its
/// bytes are counted rather than missed.
fn class(kind: &str, layer: LinkLayerType) -> Class {
    match kind {
        "" if layer == LinkLayerType::Loopback => Class::Loopback,
        "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "macsec" | "dsa" | "hsr"
        | "virt_wifi" | "rmnet" => Class::Upper,
        "bond" | "team" | "bridge" | "vrf" => Class::Aggregate,
        "veth" | "tun" | "netkit" | "vxcan" => Class::Virtual,
        "vxlan" | "geneve" | "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan"
        | "ipip" | "ip6tnl" | "sit" | "vti" | "vti6" | "xfrm" | "wireguard" | "gtp" | "bareudp"
        | "amt" | "pfcp" | "batadv" => Class::Tunnel,
        "ifb" | "nlmon" | "dummy" | "vcan" => Class::Copy,
        _ => Class::Physical,
    }
}
