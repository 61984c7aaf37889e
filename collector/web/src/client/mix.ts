// What traffic was made of: packet sizes and protocols.

import type { Mix, MixCounts } from "../api";
import { element } from "../dom";
import { t } from "../i18n";
import * as units from "../units";
import { both, type Cells, type Parts, shares, table } from "./tables";

/** Names of size classes by their upper limits: each begins where the one before it ends. */
export function sizeNames(limits: (number | null)[]): string[] {
  return limits.map((limit, index) => {
    const before = limits[index - 1];
    if (limit === null) return `> ${before ?? 0}`;
    return before === undefined || before === null ? `≤ ${limit}` : `${before + 1}–${limit}`;
  });
}

const parts = (mix: Mix, count: (counts: MixCounts) => number): Parts => ({
  rx: count(mix.rx),
  tx: count(mix.tx),
});

function sizes(mix: Mix): [string, Parts][] {
  const names = sizeNames(mix.rx.sizes.map(({ max_bytes }) => max_bytes));
  return names.map((name, index) => [
    name,
    parts(mix, (counts) => counts.sizes[index]?.packets ?? 0),
  ]);
}

const network = (mix: Mix): [string, Parts][] => [
  ["IPv4", parts(mix, (counts) => counts.network.ipv4_bytes)],
  ["IPv6", parts(mix, (counts) => counts.network.ipv6_bytes)],
  ["ARP", parts(mix, (counts) => counts.network.arp_bytes)],
  [t("other"), parts(mix, (counts) => counts.network.other_bytes)],
];

const transport = (mix: Mix): [string, Parts][] => [
  ["TCP", parts(mix, (counts) => counts.transport.tcp_bytes)],
  ["UDP", parts(mix, (counts) => counts.transport.udp_bytes)],
  ["ICMP", parts(mix, (counts) => counts.transport.icmp_bytes)],
  [t("other"), parts(mix, (counts) => counts.transport.other_bytes)],
];

const SPECIAL = [
  "multicast_packets",
  "broadcast_packets",
  "tcp_syn_packets",
  "tcp_rst_packets",
] as const;

/** Size histogram and shares of protocols. */
export function mixture(mix: Mix): HTMLElement[] {
  if (mix.covered_ns === 0) return [element("p", { class: "note" }, t("noMix"))];
  const packets = (number: number) => `${units.exact(number)} ${t("packets")}`;
  const kinds = SPECIAL.map((key): [string, Cells] => [
    t(key),
    both((direction) => units.exact(mix[direction][key])),
  ]);
  const protocols = [
    shares(t("network"), network(mix), units.bytes),
    shares(t("transport"), transport(mix), units.bytes),
  ];
  return [
    element("div", {}, shares(t("sizes"), sizes(mix), packets)),
    element("div", {}, ...protocols),
    element("div", {}, table(t("kinds", units.span(mix.covered_ns / 1e6)), kinds)),
  ];
}
