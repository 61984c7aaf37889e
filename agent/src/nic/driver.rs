//! What a NIC's driver says: link speed and offloads, by ethtool's netlink family
//! (`Documentation/networking/ethtool-netlink.rst`), Linux 5.6 or later.

use std::fs;
use std::io;

use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;
use settings::InFull;

use super::link::Link;
use super::netlink::Netlink;
use super::rtnetlink::{child, children};

/// Commands, the same for request and answer (`include/uapi/linux/ethtool_netlink.h`).
const LINKMODES_GET: u8 = 4;
const FEATURES_GET: u8 = 11;
/// Attributes of those answers.
const LINKMODES_SPEED: u16 = 5;
const FEATURES_ACTIVE: u16 = 4;
/// Attributes of a set of bits.
const BITSET_BITS: u16 = 3;
const BITSET_BIT: u16 = 1;
const BIT_NAME: u16 = 2;
/// An attribute that holds others (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;

/// Offloads that change what a tap sees: the driver's name and the usual short one.
const OFFLOADS: [(&str, &str); 8] = [
    ("tx-tcp-segmentation", "tso"),
    ("tx-udp-segmentation", "uso"),
    ("tx-generic-segmentation", "gso"),
    ("rx-gro", "gro"),
    ("rx-gro-hw", "gro-hw"),
    ("rx-lro", "lro"),
    ("rx-vlan-hw-parse", "rxvlan"),
    (HW_TC, HW_TC),
];

/// The NIC forwards packets by itself: no tap sees them.
pub const HW_TC: &str = "hw-tc-offload";

/// Access to what drivers say.
#[derive(Debug)]
pub struct Drivers(Option<Ethtool>);

#[derive(Debug)]
struct Ethtool {
    netlink: Netlink<GenlMessage<Message>>,
    family: u16,
}

impl Drivers {
    /// Opens access. Without ethtool's netlink family only speeds are known, and those only where
    /// `/sys` is that of this network namespace.
    #[must_use]
    pub fn open() -> Self {
        let ethtool = Ethtool::open();
        Self(
            ethtool
                .inspect_err(
                    |error| tracing::debug!(error = %error.in_full(), "no ethtool by netlink"),
                )
                .ok(),
        )
    }

    /// Speed of a NIC in bit/s, 0 where the driver doesn't know.
    pub fn speed_bits(&mut self, link: &Link) -> u64 {
        let mbit = match &mut self.0 {
            Some(ethtool) => ethtool.speed(link.index),
            None => speed_by_sysfs(&link.name.to_string()),
        };
        mbit.map_or(0, |mbit| u64::from(mbit) * 1_000_000)
    }

    /// The offloads that are on and matter for capture, by their usual short names; `None` where
    /// the driver doesn't say.
    pub fn offloads(&mut self, link: &Link) -> Option<Vec<&'static str>> {
        let active = self.0.as_mut()?.features(link.index)?;
        let is_active = |(name, _): &&(&str, _)| active.iter().any(|active| active == name);
        Some(OFFLOADS.iter().filter(is_active).map(|(_, short)| *short).collect())
    }
}

impl Ethtool {
    fn open() -> io::Result<Self> {
        let mut controller = Netlink::open(NETLINK_GENERIC)?;
        let request = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(Message::family_name().to_owned())],
        });
        let (_, answer) = controller.get(request)?.into_parts();
        let family = answer.nlas.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
        let family = family.ok_or_else(|| io::Error::other("no family id"))?;
        Ok(Self { netlink: Netlink::open(NETLINK_GENERIC)?, family })
    }

    /// In Mbit/s.
    fn speed(&mut self, index: u32) -> Option<u32> {
        let answer = self.get(LINKMODES_GET, index)?;
        let speed = answer.attribute(LINKMODES_SPEED)?.try_into().ok().map(u32::from_ne_bytes);
        // All bits: unknown (SPEED_UNKNOWN).
        speed.filter(|speed| *speed != u32::MAX)
    }

    /// Names of the features that are on.
    fn features(&mut self, index: u32) -> Option<Vec<String>> {
        let answer = self.get(FEATURES_GET, index)?;
        let bits = child(answer.attribute(FEATURES_ACTIVE)?, BITSET_BITS)?;
        let names = children(bits).filter(|(kind, _)| *kind == BITSET_BIT);
        let names = names.filter_map(|(_, bit)| child(bit, BIT_NAME));
        let text = |name: &[u8]| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        Some(names.map(text).collect())
    }

    fn get(&mut self, command: u8, index: u32) -> Option<Message> {
        let mut request =
            GenlMessage::from_payload(Message { command, index, attributes: Vec::new() });
        request.set_resolved_family_id(self.family);
        Some(self.netlink.get(request).ok()?.into_parts().1)
    }
}

/// A request about a NIC, or its answer.
#[derive(Debug)]
struct Message {
    command: u8,
    index: u32,
    /// Of an answer, by kind.
    attributes: Vec<u8>,
}

impl Message {
    fn attribute(&self, kind: u16) -> Option<&[u8]> {
        child(&self.attributes, kind)
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "ethtool"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    /// A header attribute (`ETHTOOL_A_*_HEADER`) that holds the index
    /// (`ETHTOOL_A_HEADER_DEV_INDEX`), both of kind 1.
    fn buffer_len(&self) -> usize {
        4 + 4 + 4
    }

    fn emit(&self, buffer: &mut [u8]) {
        let words = [12u16, NESTED | 1, 8, 1];
        for (at, word) in buffer.chunks_exact_mut(2).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        buffer[8..12].copy_from_slice(&self.index.to_ne_bytes());
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self { command: header.cmd, index: 0, attributes: bytes.to_vec() })
    }
}

/// In Mbit/s (`Documentation/ABI/testing/sysfs-class-net`), -1 where unknown.
fn speed_by_sysfs(nic: &str) -> Option<u32> {
    fs::read_to_string(format!("/sys/class/net/{nic}/speed")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_nic_in_a_header() {
        let mut bytes = [0; 12];
        Message { command: FEATURES_GET, index: 7, attributes: Vec::new() }.emit(&mut bytes);
        let header = child(&bytes, 1).unwrap();
        assert_eq!(child(header, 1).unwrap(), 7u32.to_ne_bytes());
    }
}
