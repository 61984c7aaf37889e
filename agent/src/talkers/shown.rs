//! Talkers in words: who, which service, whose. Foreign text is escaped.

use std::fmt::Write as _;

use settings::Foreign;
use settings::units::bytes;
use wire::Bytes;
use wire::talkers::{
    KeyKind, OwnerKind, ROOT_CGROUP, Talker, TalkerKey, TalkerList, TalkerOwner, address_of,
};
use wire::well_known::{protocol_name, service_name};

/// The remote end; both ends of forwarded traffic.
#[must_use]
pub fn who(key: &TalkerKey) -> String {
    match (address_of(key.address), address_of(key.other)) {
        (Some(address), Some(other)) => format!("{address} and {other}"),
        (Some(address), None) | (None, Some(address)) => address.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// The service or protocol.
#[must_use]
pub fn service(key: &TalkerKey) -> String {
    let port = || {
        let mut text = format!("{}/{}", key.port, protocol_name(key.protocol));
        if let Some(name) = service_name(key.protocol, key.port) {
            text.push(' ');
            text += name;
        }
        text
    };
    match KeyKind::of(key.kind) {
        Some(KeyKind::RemoteService) => port(),
        Some(KeyKind::LocalService) if address_of(key.other).is_none() => {
            format!("{} here", port())
        }
        Some(KeyKind::LocalService) => format!("{} at the second", port()),
        Some(KeyKind::NoPort) if [6, 17].contains(&key.protocol) => {
            format!("{} fragments", protocol_name(key.protocol))
        }
        Some(KeyKind::NoPort | KeyKind::Icmp) => protocol_name(key.protocol),
        Some(KeyKind::Arp) => "ARP".to_owned(),
        Some(KeyKind::EtherType) => format!("EtherType 0x{:04x}", key.port),
        Some(KeyKind::Unparsed) => "unreadable headers".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// The owner of a talker; `None` if it is unknown.
#[must_use]
pub fn owner_of<'a>(talker: &Talker, owners: &'a [TalkerOwner]) -> Option<&'a TalkerOwner> {
    owners.get(usize::from(talker.owner).checked_sub(1)?)
}

/// An owner's name and process.
#[must_use]
pub fn owner(owner: &TalkerOwner) -> String {
    /// Characters of an id by which people know a container.
    const ID: usize = 12;
    let id = || owner.name.chars().take(ID).collect::<String>();
    let name = match OwnerKind::of(owner.kind) {
        Some(OwnerKind::Container) => format!("container {}", id()),
        Some(OwnerKind::Pod) => format!("pod {}", owner.name),
        Some(OwnerKind::Kernel) => "kernel".to_owned(),
        Some(OwnerKind::Cgroup) if owner.name == ROOT_CGROUP => "host (root cgroup)".to_owned(),
        _ => owner.name.clone(),
    };
    let mut text = Foreign(&name).to_string();
    if !owner.process.is_empty() {
        let process = Foreign(&owner.process);
        let written =
            if text.is_empty() { write!(text, "{process}") } else { write!(text, " ({process})") };
        // Writing to a text can't fail.
        written.unwrap_or_default();
    }
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// How exact a list is, and of how many talkers.
#[must_use]
pub fn exactness(list: &TalkerList) -> String {
    let bound = match list.error_bytes {
        Bytes(0) => "exact".to_owned(),
        most => format!("each up to {} more", bytes(most.get())),
    };
    let number = match list.distinct_error {
        0 => list.distinct.to_string(),
        deviation => format!("about {} ± {deviation}", list.distinct),
    };
    format!("{bound}; {number} talkers")
}

/// A part of a whole, percent.
#[must_use]
pub fn percent(part: Bytes, all: Bytes) -> u64 {
    let share = u128::from(part.get()) * 100;
    let share = share.checked_div(all.get().into()).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use wire::talkers::address_bytes;

    use super::*;

    fn key(kind: KeyKind, protocol: u8, port: u16) -> TalkerKey {
        let address = address_bytes("198.51.100.7".parse::<IpAddr>().unwrap());
        TalkerKey { kind: kind as u8, protocol, port, address, other: [0; 16] }
    }

    #[test]
    fn a_key_is_told_in_words() {
        use KeyKind::*;
        let none = TalkerKey { address: [0; 16], ..key(Arp, 0, 0) };
        let other = address_bytes("2001:db8::1".parse::<IpAddr>().unwrap());
        let forwarded = TalkerKey { other, ..key(LocalService, 17, 4000) };
        for (key, who_is, service_is) in [
            (key(RemoteService, 6, 443), "198.51.100.7", "443/tcp https"),
            (key(RemoteService, 17, 40_000), "198.51.100.7", "40000/udp"),
            (key(LocalService, 6, 22), "198.51.100.7", "22/tcp ssh here"),
            (forwarded, "198.51.100.7 and 2001:db8::1", "4000/udp at the second"),
            (key(NoPort, 47, 0), "198.51.100.7", "GRE"),
            (key(NoPort, 17, 0), "198.51.100.7", "udp fragments"),
            (key(NoPort, 200, 0), "198.51.100.7", "IP 200"),
            (key(Icmp, 58, 0), "198.51.100.7", "ICMPv6"),
            (none, "-", "ARP"),
            (TalkerKey { kind: EtherType as u8, port: 0x88cc, ..none }, "-", "EtherType 0x88cc"),
            (TalkerKey { kind: Unparsed as u8, ..none }, "-", "unreadable headers"),
        ] {
            assert_eq!((who(&key).as_str(), service(&key).as_str()), (who_is, service_is));
        }
    }

    #[test]
    fn an_owner_is_told_in_words_and_can_not_control_the_terminal() {
        let told = |kind: OwnerKind, name: &str, process: &str| {
            owner(&TalkerOwner { kind: kind as u8, name: name.into(), process: process.into() })
        };
        assert_eq!(told(OwnerKind::Unit, "nginx.service", "nginx"), "nginx.service (nginx)");
        let id = "4f0c9a3b2d1e".repeat(5);
        assert_eq!(told(OwnerKind::Container, &id, ""), "container 4f0c9a3b2d1e");
        assert_eq!(told(OwnerKind::Process, "", "curl"), "curl");
        assert_eq!(told(OwnerKind::Kernel, "", ""), "kernel");
        assert_eq!(told(OwnerKind::Cgroup, "/", ""), "host (root cgroup)");
        assert_eq!(told(OwnerKind::Cgroup, "/batch", ""), "/batch");
        assert_eq!(told(OwnerKind::Cgroup, "", ""), "unknown");
        let hostile = told(OwnerKind::Unit, "a\u{1b}[2J", "b\u{202e}");
        assert_eq!(hostile, r"a\u001b[2J (b\u202e)");
    }

    #[test]
    fn how_exact_a_list_is_is_told_in_words() {
        let list = |error, distinct_error| TalkerList {
            error_bytes: Bytes(error),
            distinct: 900,
            distinct_error,
            ..TalkerList::default()
        };
        assert_eq!(exactness(&list(0, 0)), "exact; 900 talkers");
        let rough = exactness(&list(3_200_000, 15));
        assert_eq!(rough, "each up to 3.20 MB more; about 900 ± 15 talkers");
    }
}
