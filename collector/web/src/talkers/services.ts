// Names of protocols and of services that are met most: those of wire/src/well_known.rs, which a test of that
// compares.

const PROTOCOLS: Record<number, string> = {
  1: "ICMP",
  2: "IGMP",
  4: "IPIP",
  6: "tcp",
  17: "udp",
  41: "IPv6 in IP",
  47: "GRE",
  50: "ESP",
  51: "AH",
  58: "ICMPv6",
  89: "OSPF",
  103: "PIM",
  112: "VRRP",
  132: "sctp",
};

const SERVICES: Record<number, string> = {
  20: "ftp-data",
  21: "ftp",
  22: "ssh",
  25: "smtp",
  53: "dns",
  67: "dhcp",
  80: "http",
  110: "pop3",
  111: "rpcbind",
  123: "ntp",
  143: "imap",
  161: "snmp",
  179: "bgp",
  389: "ldap",
  443: "https",
  445: "smb",
  465: "smtps",
  514: "syslog",
  587: "submission",
  636: "ldaps",
  853: "dns-over-tls",
  873: "rsync",
  993: "imaps",
  995: "pop3s",
  1194: "openvpn",
  1433: "mssql",
  1883: "mqtt",
  2049: "nfs",
  2379: "etcd",
  3260: "iscsi",
  3306: "mysql",
  3389: "rdp",
  4789: "vxlan",
  5060: "sip",
  5201: "iperf3",
  5353: "mdns",
  5432: "postgresql",
  5672: "amqp",
  6081: "geneve",
  6379: "redis",
  6443: "kubernetes",
  8080: "http-alt",
  8082: "network-monitor",
  9000: "minio",
  9092: "kafka",
  9100: "node-exporter",
  9200: "elasticsearch",
  11211: "memcached",
  27017: "mongodb",
  51820: "wireguard",
};
const TCP = 6;
const UDP = 17;

export const protocolName = (protocol: number): string => PROTOCOLS[protocol] ?? `IP ${protocol}`;

/** The usual service of a port; empty if there is none. */
export const serviceName = (protocol: number, port: number): string =>
  protocol === TCP || protocol === UDP ? (SERVICES[port] ?? "") : "";
