// Talkers in words. What comes from a host is text.

import { isText, t } from "../i18n";
import type { Owner, Talker } from "./api";
import { protocolName, serviceName } from "./services";

/** Names of the network protocols that are met most, by their EtherType. */
const ETHER_TYPES: Record<number, string> = {
  33024: "VLAN",
  34887: "MPLS",
  34915: "PPPoE",
  34916: "PPPoE",
  35020: "LLDP",
  35045: "MACsec",
};

/** The control group of what is in no other. */
const ROOT_CGROUP = "/";

/** Where a service is: at the other end, or here. */
const side = (kind: string): string => {
  if (kind === "local_service") return ` ${t("serviceHere")}`;
  return kind === "remote_service" ? ` ${t("serviceThere")}` : "";
};

/** The service of a key, or what its packets are instead. */
export function serviceOf({ kind, protocol, port }: Talker): string {
  const name = protocolName(protocol ?? 0);
  switch (kind) {
    case "local_service":
    case "remote_service": {
      const known = serviceName(protocol ?? 0, port ?? 0);
      return `${known ? `${known} ` : ""}${port ?? 0}/${name}${side(kind)}`;
    }
    case "no_port":
      return t("noPort", name);
    case "icmp":
      return "ICMP";
    case "arp":
      return "ARP";
    case "ethertype":
      return ETHER_TYPES[port ?? 0] ?? `EtherType 0x${(port ?? 0).toString(16).padStart(4, "0")}`;
    case "unparsed":
      return t("unparsed");
    default:
      // Of a newer collector.
      return kind ?? "";
  }
}

/** Whose it is: the unit, container or pod, and the process. */
export function ownerOf({ kind, name, process }: Owner): string {
  const word = `owner_${kind}`;
  const what = isText(word) ? t(word) : kind;
  if (kind === "kernel") return what;
  if (kind === "cgroup" && name === ROOT_CGROUP && !process) return t("owner_root");
  const whole = name || process;
  return process && name ? `${what} ${whole} (${process})` : `${what} ${whole}`;
}

/** The remote end, and the other one of forwarded traffic. */
export function hostOf({ address, other, host }: Talker): string {
  if (address === null) return "";
  const named = host ? `${host} (${address})` : address;
  return other === null ? named : `${named} ⇄ ${other}`;
}

/** A talker by all that is told of it. */
export function nameOf(talker: Talker): string {
  const parts = [
    hostOf(talker),
    talker.kind === null ? "" : serviceOf(talker),
    talker.owner ? ownerOf(talker.owner) : "",
  ];
  return parts.filter(Boolean).join(" · ") || t("unknownTalker");
}
