//! Names of well-known numbers, the same in both programs and on the page: protocols above IP, and services
//! by their ports (IANA's registries, in the spelling that people know). The services of `/etc/services` are
//! not used: each host would name them otherwise.

/// Protocols above IP, by number. Those with ports are written as after a port: `443/tcp`.
pub const PROTOCOLS: [(u8, &str); 14] = [
    (1, "ICMP"),
    (2, "IGMP"),
    (4, "IPIP"),
    (6, "tcp"),
    (17, "udp"),
    (41, "IPv6 in IP"),
    (47, "GRE"),
    (50, "ESP"),
    (51, "AH"),
    (58, "ICMPv6"),
    (89, "OSPF"),
    (103, "PIM"),
    (112, "VRRP"),
    (132, "sctp"),
];

/// Services that hosts often have much traffic of, by port of TCP or UDP.
pub const SERVICES: [(u16, &str); 50] = [
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (25, "smtp"),
    (53, "dns"),
    (67, "dhcp"),
    (80, "http"),
    (110, "pop3"),
    (111, "rpcbind"),
    (123, "ntp"),
    (143, "imap"),
    (161, "snmp"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "smb"),
    (465, "smtps"),
    (514, "syslog"),
    (587, "submission"),
    (636, "ldaps"),
    (853, "dns-over-tls"),
    (873, "rsync"),
    (993, "imaps"),
    (995, "pop3s"),
    (1194, "openvpn"),
    (1433, "mssql"),
    (1883, "mqtt"),
    (2049, "nfs"),
    (2379, "etcd"),
    (3260, "iscsi"),
    (3306, "mysql"),
    (3389, "rdp"),
    (4789, "vxlan"),
    (5060, "sip"),
    (5201, "iperf3"),
    (5353, "mdns"),
    (5432, "postgresql"),
    (5672, "amqp"),
    (6081, "geneve"),
    (6379, "redis"),
    (6443, "kubernetes"),
    (8080, "http-alt"),
    (8082, "network-monitor"),
    (9000, "minio"),
    (9092, "kafka"),
    (9100, "node-exporter"),
    (9200, "elasticsearch"),
    (11211, "memcached"),
    (27017, "mongodb"),
    (51820, "wireguard"),
];

/// The name of a protocol above IP, or its number: `tcp`, `IP 200`.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    let known = PROTOCOLS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("IP {number}"), |(_, name)| (*name).to_owned())
}

/// The service that usually has a port of a protocol; `None` if none does.
#[must_use]
pub fn service_name(protocol: u8, port: u16) -> Option<&'static str> {
    const TCP_AND_UDP: [u8; 2] = [6, 17];
    let known = SERVICES.iter().find(|(known, _)| *known == port);
    known.filter(|_| TCP_AND_UDP.contains(&protocol)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_and_services_have_one_name_each() {
        assert!(PROTOCOLS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(SERVICES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!([protocol_name(6), protocol_name(200)], ["tcp", "IP 200"]);
        assert_eq!(service_name(6, 443), Some("https"));
        assert_eq!([service_name(132, 443), service_name(17, 40_000)], [None, None]);
    }

    /// The page can't import this list.
    #[test]
    fn the_page_has_the_same_names() {
        let page = include_str!("../../collector/web/src/talkers/services.ts");
        let named: Vec<(u16, &str)> = page
            .lines()
            .filter_map(|line| {
                let (number, name) = line.trim().strip_suffix("\",")?.split_once(": \"")?;
                Some((number.parse().ok()?, name))
            })
            .collect();
        let protocols = PROTOCOLS.iter().map(|(number, name)| (u16::from(*number), *name));
        assert_eq!(named, protocols.chain(SERVICES).collect::<Vec<_>>());
    }
}
