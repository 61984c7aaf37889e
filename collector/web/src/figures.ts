// What a range comes to, beside its chart: figures, what traffic was made of, what happened.

import { DIRECTIONS, type Direction, type Happening, type Happenings, type Losses, type Mix, type Point } from "./api";
import { SIGNS } from "./chart";
import { button, element } from "./dom";
import { t, type Text } from "./i18n";
import { end, peak, rate, sums, type Points } from "./points";
import * as units from "./units";

type Cells = Record<Direction, string>;

/** A table with a column for each direction. */
function table(caption: string, rows: [string, Cells][]): HTMLTableElement {
  const head = element("tr", {}, element("td"), ...DIRECTIONS.map((direction) => element("th", { scope: "col", class: direction }, t(direction))));
  const body = rows.map(([name, cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...DIRECTIONS.map((direction) => element("td", {}, cells[direction]))));
  return element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
}

const both = (cell: (direction: Direction) => string): Cells => ({ rx: cell("rx"), tx: cell("tx") });

/** What figures lack or misplace, each with what it means. */
const LOSSES: [Text, Text, keyof Losses][] = [
  ["lostPackets", "lostMeans", "drops_total"], ["late", "lateMeans", "late_total"], ["inexact", "inexactMeans", "inexact_total"],
];

/** Losses in one line each, with their meaning. */
export const lossesTitle = (losses: Losses): string =>
  LOSSES.map(([word, meaning, key]) => t("loss", t(word), units.exact(losses[key]), t(meaning))).join("\n");

/** What a NIC's figures lack or misplace in all; a word says on hover what it means. */
export function ledger(losses: Losses): HTMLElement[] {
  const rows = LOSSES.map(([word, meaning, key]) => element("tr", {},
    element("th", { scope: "row" }, element("abbr", { title: t(meaning) }, t(word))),
    element("td", { class: losses[key] === 0 ? "" : key === "drops_total" ? "bad" : "warn", "data-loss": key }, units.exact(losses[key]))));
  return [element("table", {}, element("caption", {}, t("ledger")), element("tbody", {}, ...rows))];
}

/** The figures of all points in sight. `averaged`: of what the percentile is; `together`: that of all NICs of the client. */
export function figures(points: Points, p95: Record<Direction, number>, averaged: string, together: Record<Direction, number> | null): HTMLElement {
  if (points.length === 0) return element("p", { class: "note" }, t("noData"));
  const seconds = points.all.reduce((sum, point) => sum + point.interval_ns / 1e9, 0);
  const sum = { rx: sums(points, "rx"), tx: sums(points, "tx") };
  const drops = points.all.reduce((sum, point) => sum + point.drops, 0);
  const made = table(t("figures"), [
    [t("mean"), both((direction) => units.rate(sum[direction].bytes / seconds))],
    [t("highest"), both((direction) => units.rate(sum[direction].highest))],
    [t("peak"), both((direction) => units.rate(sum[direction].peak))],
    [t("percentile", averaged), both((direction) => units.rate(p95[direction]))],
    ...(together ? [[t("percentileOfAll"), both((direction) => units.rate(together[direction]))] as [string, Cells]] : []),
    [t("meanSize"), both((direction) => (sum[direction].packets > 0 ? `${(sum[direction].bytes / sum[direction].packets).toFixed(0)} B` : "–"))],
    [t("packetRate"), both((direction) => units.count(sum[direction].packets / seconds))],
    [t("total"), both((direction) => units.bytes(sum[direction].bytes))],
  ]);
  const lost = element("tr", {}, element("th", { scope: "row" }, t("lostPackets")),
    element("td", { colspan: "2", class: drops > 0 ? "bad" : "" }, units.exact(drops)));
  const measured = element("tr", {}, element("th", { scope: "row" }, t("measured")), element("td", { colspan: "2" }, units.span(seconds * 1000)));
  made.tBodies[0]?.append(lost, measured);
  return made;
}

/** One point, exactly. */
export function readout(point: Point | undefined): HTMLElement {
  const exact = (direction: Direction): string => {
    if (!point) return "–";
    const { bytes, packets, captured } = point[direction];
    const size = packets > 0 ? `${(bytes / packets).toFixed(0)} B` : "–";
    return `${units.rate(rate(point, direction))} · ${t("peak")} ${units.rate(peak(point, direction))} · ${units.exact(bytes)} B · ${units.exact(packets)} ${t("packets")} · ${t("each", size)} · ${t("captured", units.exact(captured))}`;
  };
  const when = point ? `${units.moment(Date.parse(point.time), 1)} – ${units.clock(end(point), 1)}` : t("hover");
  const lost = point && point.drops > 0 ? element("span", { class: "bad" }, t("lossMark", units.exact(point.drops))) : "";
  const flags = point && point.flags.length > 0 ? element("span", { class: "warn" }, point.flags.join(", ").replaceAll("_", " ")) : "";
  return element("div", {}, element("p", {}, when, " ", lost, " ", flags, " ", element("span", { class: "note" }, t("wire"))),
    ...DIRECTIONS.map((direction) => element("p", { "data-direction": direction }, element("b", { class: direction }, t(direction)), " ", exact(direction))));
}

/** Rows of shares with a bar for each direction. */
function shares(caption: string, rows: [string, Record<Direction, number>][], amount: (number: number) => string): HTMLElement {
  const whole = { rx: 0, tx: 0 };
  for (const [, parts] of rows) for (const direction of DIRECTIONS) whole[direction] += parts[direction];
  const made = table(caption, rows.map(([name, parts]) => [name, both((direction) => units.share(parts[direction], whole[direction]))]));
  made.classList.add("shares");
  rows.forEach(([, parts], index) => {
    DIRECTIONS.forEach((direction, column) => {
      const cell = made.tBodies[0]?.rows[index]?.cells[column + 1];
      if (!cell) return;
      const bar = element("i", { class: `bar ${direction}`, "aria-hidden": "true" });
      bar.style.width = `${whole[direction] > 0 ? (100 * parts[direction]) / whole[direction] : 0}%`;
      cell.title = amount(parts[direction]);
      cell.prepend(bar);
    });
  });
  return made;
}

/** Size histogram and shares of protocols. */
export function mixture(mix: Mix): HTMLElement[] {
  if (mix.covered_ns === 0) return [element("p", { class: "note" }, t("noMix"))];
  let below = 0;
  const sizes = mix.rx.sizes.map((size, index): [string, Record<Direction, number>] => {
    const name = size.max_bytes === null ? `> ${below}` : below === 0 ? `≤ ${size.max_bytes}` : `${below + 1}–${size.max_bytes}`;
    below = size.max_bytes ?? below;
    return [name, { rx: size.packets, tx: mix.tx.sizes[index]?.packets ?? 0 }];
  });
  type Key = keyof Mix["rx"]["network"] | keyof Mix["rx"]["transport"];
  const by = (kind: "network" | "transport", names: [string, Key][]): [string, Record<Direction, number>][] =>
    names.map(([name, key]) => {
      const of = (direction: Direction) => (mix[direction][kind] as Record<string, number>)[key] ?? 0;
      return [name, { rx: of("rx"), tx: of("tx") }];
    });
  const network = by("network", [["IPv4", "ipv4_bytes"], ["IPv6", "ipv6_bytes"], ["ARP", "arp_bytes"], [t("other"), "other_bytes"]]);
  const transport = by("transport", [["TCP", "tcp_bytes"], ["UDP", "udp_bytes"], ["ICMP", "icmp_bytes"], [t("other"), "other_bytes"]]);
  const counts = (["multicast_packets", "broadcast_packets", "tcp_syn_packets", "tcp_rst_packets"] as const)
    .map((key): [string, Cells] => [t(key), both((direction) => units.exact(mix[direction][key]))]);
  const packets = (number: number) => `${units.exact(number)} ${t("packets")}`;
  return [
    element("div", {}, shares(t("sizes"), sizes, packets)),
    element("div", {}, shares(t("network"), network, units.bytes), shares(t("transport"), transport, units.bytes)),
    element("div", {}, table(t("kinds", units.span(mix.covered_ns / 1e6)), counts)),
  ];
}

/** What an event was. */
export function describe({ kind, packets, reason, rx_bytes, tx_bytes }: Happening): string {
  switch (kind) {
    case "lost": return t("event_lost", units.exact(packets ?? 0));
    case "gap": return t("event_gap", t(`gap_${reason ?? "unknown"}` as Text), units.bytes(rx_bytes ?? 0), units.bytes(tx_bytes ?? 0));
    default: return t(`event_${kind}`);
  }
}

/** What happened, newest first; a click leads there. */
export function happenings(told: Happenings, go: (from: number, to: number) => void): HTMLElement[] {
  if (told.events.length === 0) return [element("li", { class: "note" }, t("noEvents"))];
  const items = told.events.slice(-100).reverse().map((happening) => {
    const at = Date.parse(happening.time);
    const around = Math.max(30_000, happening.interval_ns / 1e6);
    const [sign, kind] = SIGNS[happening.kind];
    const time = button(units.moment(at), "", () => go(at - around, at + happening.interval_ns / 1e6 + around));
    return element("li", { "data-event": happening.kind }, element("span", { class: `sign ${kind}`, "aria-hidden": "true" }, sign), time, " ", describe(happening));
  });
  if (told.truncated || told.events.length > 100) items.push(element("li", { class: "note" }, t("moreEvents")));
  return items;
}
