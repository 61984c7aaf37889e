//! What talkers are called in the API, in files and in messages.

use wire::talkers::{KeyKind, OwnerKind, ROOT_CGROUP, TalkerKey, TalkerOwner, address_of};
use wire::well_known::protocol_name;

/// True if a key of this kind has a protocol of IP.
#[must_use]
pub fn has_protocol(kind: u8) -> bool {
    let none = [KeyKind::Arp, KeyKind::EtherType, KeyKind::Unparsed];
    KeyKind::of(kind).is_some_and(|kind| !none.contains(&kind))
}

/// True if a key of this kind has a port, or an `EtherType`.
#[must_use]
pub fn has_port(kind: u8) -> bool {
    let some = [KeyKind::RemoteService, KeyKind::LocalService, KeyKind::EtherType];
    KeyKind::of(kind).is_some_and(|kind| some.contains(&kind))
}

/// A key in words: `10.1.2.3 443/tcp`, `ARP`.
#[must_use]
pub fn key_words(key: &TalkerKey) -> String {
    let protocol = protocol_name(key.protocol);
    let what = match KeyKind::of(key.kind) {
        Some(KeyKind::RemoteService) => format!("{}/{protocol}", key.port),
        Some(KeyKind::LocalService) => format!("to {}/{protocol} here", key.port),
        Some(KeyKind::NoPort) => format!("{protocol} without a port"),
        Some(KeyKind::Icmp) => "ICMP".to_owned(),
        Some(KeyKind::Arp) => "ARP".to_owned(),
        Some(KeyKind::EtherType) => format!("EtherType 0x{:04x}", key.port),
        Some(KeyKind::Unparsed) | None => "unreadable headers".to_owned(),
    };
    match (address_of(key.address), address_of(key.other)) {
        (None, _) => what,
        (Some(address), None) => format!("{address} {what}"),
        (Some(address), Some(other)) => format!("{address} and {other}, {what}"),
    }
}

/// An owner in words: `unit nginx.service (nginx)`. What is in it comes from a host.
#[must_use]
pub fn owner_words(TalkerOwner { kind, name, process }: &TalkerOwner) -> String {
    let kind = OwnerKind::name_of(*kind);
    let is_root = name == ROOT_CGROUP && kind == OwnerKind::name_of(OwnerKind::Cgroup as u8);
    match (name.as_str(), process.as_str()) {
        ("", "") => kind.to_owned(),
        (_, "") if is_root => "host (root cgroup)".to_owned(),
        ("", only) | (only, "") => format!("{kind} {only}"),
        (name, process) => format!("{kind} {name} ({process})"),
    }
}

#[cfg(test)]
mod tests {
    use wire::talkers::address_bytes;

    use super::*;

    #[test]
    fn keys_and_owners_have_words() {
        let address = address_bytes([10, 1, 2, 3].into());
        let other = address_bytes("2001:db8::1".parse().unwrap());
        let key = |kind: KeyKind, protocol, port| TalkerKey {
            kind: kind as u8,
            protocol,
            port,
            address,
            other: [0; 16],
        };
        for (key, words) in [
            (key(KeyKind::RemoteService, 6, 443), "10.1.2.3 443/tcp"),
            (key(KeyKind::LocalService, 17, 53), "10.1.2.3 to 53/udp here"),
            (key(KeyKind::NoPort, 47, 0), "10.1.2.3 GRE without a port"),
            (key(KeyKind::NoPort, 200, 0), "10.1.2.3 IP 200 without a port"),
            (
                TalkerKey { other, ..key(KeyKind::LocalService, 6, 22) },
                "10.1.2.3 and 2001:db8::1, to 22/tcp here",
            ),
            (TalkerKey { kind: KeyKind::Arp as u8, ..TalkerKey::default() }, "ARP"),
            (
                TalkerKey { kind: KeyKind::EtherType as u8, port: 0x88cc, ..TalkerKey::default() },
                "EtherType 0x88cc",
            ),
        ] {
            assert_eq!(key_words(&key), words);
        }
        let owner = |kind: OwnerKind, name: &str, process: &str| {
            let (name, process) = (name.into(), process.into());
            owner_words(&TalkerOwner { kind: kind as u8, name, process })
        };
        assert_eq!(owner(OwnerKind::Unit, "a.service", "a"), "unit a.service (a)");
        assert_eq!(owner(OwnerKind::Process, "", "ssh"), "process ssh");
        assert_eq!(owner(OwnerKind::Kernel, "", ""), "kernel");
        assert_eq!(owner(OwnerKind::Cgroup, "/", ""), "host (root cgroup)");
        assert_eq!(owner(OwnerKind::Cgroup, "/batch", ""), "cgroup /batch");
    }
}
