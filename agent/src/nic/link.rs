//! A NIC as the kernel describes it (rtnetlink(7), `RTM_NEWLINK`).

use wire::id::NicName;
use wire::message::Nic;

use super::rtnetlink::{LinkMessage, child, number, text};

/// Attributes of a NIC (`IFLA_*`, `include/uapi/linux/if_link.h`), and of those that hold others.
const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const MASTER: u16 = 10;
const OPERSTATE: u16 = 16;
const LINKINFO: u16 = 18;
const INFO_KIND: u16 = 1;
const LINK_NETNSID: u16 = 37;
const XDP: u16 = 43;
const XDP_ATTACHED: u16 = 2;

/// `IFF_UP` (`include/uapi/linux/if.h`).
const UP: u32 = 1;

/// `IF_OPER_UNKNOWN` and `IF_OPER_UP`.
const RUNNING: [u8; 2] = [0, 6];

/// `ARPHRD_LOOPBACK` (`include/uapi/linux/if_arp.h`).
const LOOPBACK: u16 = 772;

/// The kind of a NIC, as needed for counting each byte once.
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
    /// Its class.
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
    pub fn of_message(message: &LinkMessage<'_>) -> Option<Self> {
        let mut link = Self {
            index: message.index(),
            name: NicName::default(),
            kind: String::new(),
            class: Class::Physical,
            up: message.flags() & UP != 0,
            running: true,
            mac: [0; 6],
            mtu: 0,
            lower: None,
            master: None,
            peer: None,
            xdp: false,
        };
        let (mut lower_is_elsewhere, mut whole) = (false, false);
        for (kind, value) in message.attributes() {
            match kind {
                IFNAME => link.name = NicName::of_bytes(text(value))?,
                MTU => (link.mtu, whole) = number(value).map_or((0, whole), |mtu| (mtu, true)),
                ADDRESS => link.mac = value.try_into().unwrap_or_default(),
                OPERSTATE => {
                    link.running = value.first().is_none_or(|state| RUNNING.contains(state));
                }
                LINK => link.lower = number(value),
                LINK_NETNSID => lower_is_elsewhere = true,
                MASTER => link.master = number(value),
                XDP => {
                    let attached = child(value, XDP_ATTACHED).and_then(<[u8]>::first);
                    link.xdp = attached.is_some_and(|how| *how != 0);
                }
                LINKINFO => {
                    let kind = child(value, INFO_KIND).map(text).unwrap_or_default();
                    link.kind = String::from_utf8_lossy(kind).into_owned();
                }
                _ => {}
            }
        }
        link.name.as_str().filter(|_| whole)?;
        link.class = class(&link.kind, message.layer());
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

    /// Its description for the collector.
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

/// The class of a kind. A kind that isn't known is taken for a port of its own, so that its
/// bytes are counted rather than missed.
fn class(kind: &str, layer: u16) -> Class {
    match kind {
        "" if layer == LOOPBACK => Class::Loopback,
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
