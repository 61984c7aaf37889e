import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type OverviewState, USUAL } from "../src/address";
import type { Hour, Moment, Sum, Summary } from "../src/api";
import { fitting, headOf, template } from "../src/overview/columns";
import { History, MINUTES } from "../src/overview/history";
import { arranged, look, needy, type Row, updated } from "../src/overview/rows";
import { health } from "../src/presence";
import { switchZone } from "../src/time";

const NOW = Date.UTC(2026, 10, 26, 12);
const told = (ago = 0): string => new Date(NOW - ago).toISOString();
let history: History;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  health.heard(NOW, NOW);
  history = new History();
});
afterEach(() => {
  vi.useRealTimers();
});
switchZone();

const sum = (rate: number): Sum => ({
  bytes_per_second: rate,
  packets_per_second: rate / 1000,
  peak_1ms_bytes_per_second: 2 * rate,
});

const summary = (client: string, rate: number, more: Partial<Summary> = {}): Summary => ({
  client,
  alias: "",
  up: true,
  elsewhere: false,
  last_seen: told(),
  observed: told(),
  clock_offset_ns: 0,
  second_host: null,
  tags: {},
  sample_interval_ns: 5e8,
  links_down: [],
  since: told(3600_000),
  utilisation: null,
  rx: sum(rate),
  tx: sum(rate / 2),
  drops_total: 0,
  late_total: 0,
  inexact_total: 0,
  ...more,
});

const row = (client: string, rate: number, more: Partial<Summary> = {}): Row =>
  updated(undefined, summary(client, rate, more), history);
const all: OverviewState = {
  search: "",
  sort: "rx",
  descending: true,
  attention: false,
  dense: false,
  columns: USUAL,
  by: "",
  closed: [],
};
const names = (rows: Row[]): string[] => rows.map(({ client }) => client.client);
const ordered = (rows: Row[], state: OverviewState): string[] =>
  names(arranged(rows, state, history));

const moment = (ago: number): Moment => ({ nic: "eth0", time: told(ago), interval_ns: 5e8 });
const hour = (more: Partial<Hour>): { hour: Hour } => ({
  hour: { peak_1ms: null, peak_10ms: null, lost: null, ...more },
});
const burst = (share: number, ago: number): { hour: Hour } =>
  hour({
    peak_10ms: { ...moment(ago), direction: "tx", bytes_per_second: 1.25e9 * share, share },
  });
const full = (since?: string): Partial<Summary> => ({
  utilisation: {
    nic: "eth1",
    direction: "rx",
    share: 0.97,
    speed_bits_per_second: 1e10,
    ...(since && { full_since: since }),
  },
});

test("the busiest is first, and a silent client carries nothing", () => {
  const rows = [row("a", 10), row("b", 30), row("c", 99, { observed: told(6000) }), row("d", 20)];
  expect(ordered(rows, all)).toEqual(["b", "d", "a", "c"]);
  expect(ordered(rows, { ...all, descending: false })).toEqual(["c", "a", "d", "b"]);
});

test("names are in the order of people, and break ties", () => {
  const rows = [row("web-10", 1), row("web-9", 1), row("x", 1, { alias: "Alpha" })];
  expect(ordered(rows, { ...all, sort: "client", descending: false })).toEqual([
    "x",
    "web-9",
    "web-10",
  ]);
  expect(ordered(rows, all)).toEqual(["web-9", "web-10", "x"]);
});

test("search looks at name and alias, whatever their case", () => {
  const rows = [row("web-1", 1, { alias: "Frontend" }), row("db-1", 1)];
  expect(ordered(rows, { ...all, search: "FRONT" })).toEqual(["web-1"]);
  expect(ordered(rows, { ...all, search: "DB" })).toEqual(["db-1"]);
});

test("by state the troubled come first, the worst of them first, then the busiest of the hour", () => {
  const minutes = (client: string, rate: number) => {
    const rates = new Array<number | null>(MINUTES).fill(rate);
    return { client, rx: rates, tx: rates, lost: [] };
  };
  history.take({
    from: told(3600_000),
    interval_ns: 6e10,
    clients: [minutes("quiet", 5), minutes("busy", 50)],
  });
  const rows = [
    row("quiet", 900),
    row("busy", 1),
    row("bursty", 1, burst(0.95, 60_000)),
    row("full", 1, full(told(90_000))),
    row("lossy", 1, hour({ lost: { ...moment(60_000), packets: 9 } })),
    row("gone", 1, { up: false }),
  ];
  const byState: OverviewState = { ...all, sort: "state" };
  const order = ["gone", "lossy", "full", "bursty", "busy", "quiet"];
  expect(ordered(rows, byState)).toEqual(order);
  expect(ordered(rows, { ...byState, attention: true })).toEqual(order.slice(0, 4));
});

const secondHost = {
  since: told(600_000),
  last_told: told(0),
  kept: "10.0.0.1",
  refused: "10.0.0.2",
  what: "this is another machine",
};

test.each<[string, Partial<Summary>, string]>([
  ["down", { up: false, last_seen: told(65_000) }, "down for 1.1 min"],
  ["silent", { observed: told(7000) }, "no sample for 7 s"],
  ["a link down", { links_down: ["eth0", "eth1"] }, "down: eth0, eth1"],
  ["a clock that is off", { clock_offset_ns: -2e9 }, "clock −2 s"],
  ["a second host", { second_host: secondHost }, "second host 10.0.0.2 refused"],
  ["a full link", full(told(600_000)), "full since 11:50: eth1 received at 97 %"],
  ["a loss", hour({ lost: { ...moment(300_000), packets: 25_574 } }), "25 574 lost, last at 11:55"],
  ["a burst", burst(0.96, 120_000), "burst at 11:58: 9.60 Gbit/s within 10 ms, eth0 transmitted"],
])("%s needs attention", (_, more, text) => {
  const seen = row("a", 1, more);
  expect(seen.marks.map((mark) => mark.text)).toEqual([text]);
  expect(needy(seen)).toBe(true);
});

test.each<[string, Partial<Summary>]>([
  ["a loss of long ago", hour({ lost: { ...moment(601_000), packets: 9 } })],
  ["a burst of long ago", burst(1, 601_000)],
  ["a peak below the link's speed", burst(0.89, 1000)],
  ["peaks of a link that is busy, but not full", full()],
])("%s needs no attention", (_, more) => {
  expect(row("a", 1, more).marks).toEqual([]);
});

test("a peak of a minute that is full throughout is no burst", () => {
  const rates = new Array<number | null>(MINUTES).fill(0.7 * 1.25e9);
  const take = (tx: (number | null)[]) =>
    history.take({
      from: told(3600_000),
      interval_ns: 6e10,
      clients: [{ client: "a", rx: rates, tx, lost: [] }],
    });
  take(rates);
  expect(row("a", 1, burst(1, 1000)).marks).toEqual([]);
  take(rates.map(() => 1e8));
  expect(row("a", 1, burst(1, 1000)).marks).toHaveLength(1);
});

test("a client's clock is allowed for", () => {
  const ahead = 3600e9;
  const lost = { ...moment(-3600_000 + 120_000), packets: 9 };
  const seen = row("a", 1, { clock_offset_ns: ahead, ...hour({ lost }) });
  expect(seen.marks.map(({ rank }) => rank)).toEqual([60, 10]);
});

test("marks go as time passes", () => {
  const seen = row("a", 1, hour({ lost: { ...moment(0), packets: 9 } }));
  expect(needy(seen)).toBe(true);
  vi.setSystemTime(NOW + 601_000);
  seen.client.observed = told(-601_000);
  look(seen, history);
  expect(seen.marks).toEqual([]);
});

test("a client at another collector is marked, and needs no attention", () => {
  const seen = row("a", 1, { elsewhere: true });
  expect(seen.marks.map(({ text, kind }) => [text, kind])).toEqual([["at another collector", ""]]);
  expect([needy(seen), seen.stale]).toEqual([false, true]);
});

test("sums over clients are by minute, and of nothing there is no sum", () => {
  const rates = (first: number | null): (number | null)[] => [
    first,
    ...new Array<number | null>(MINUTES - 1).fill(null),
  ];
  const client = (client: string, first: number | null) => ({
    client,
    rx: rates(first),
    tx: rates(null),
    lost: [],
  });
  history.take({
    from: told(3600_000),
    interval_ns: 6e10,
    clients: [client("a", 3), client("b", 4), client("c", 100)],
  });
  const sums = history.sums(["a", "b", "nobody"]);
  expect(sums.rx).toEqual(rates(7));
  expect(sums.tx).toEqual(rates(null));
});

test("heads are short on a phone, and say in full what they mean", () => {
  expect(headOf("tx", 2000)).toEqual({ head: "Transmitted", title: "" });
  expect(headOf("tx", 334)).toEqual({ head: "Tx", title: "Transmitted" });
  expect(headOf("peak", 334).head).toBe("1 ms peak");
  const { head, title } = headOf("utilisation", 334);
  expect(head).toBe("Util.");
  expect(title).toBe(`Utilisation: ${headOf("utilisation", 2000).title}`);
});

test("what matters least is left out where there is no room", () => {
  expect(fitting(USUAL, 2000)).toEqual(USUAL);
  expect(fitting(USUAL, 390 - 24 - 2 - 30 - 28)).toEqual(["client", "utilisation", "rx", "tx"]);
  expect(fitting(USUAL, 10)).toEqual(["client"]);
  expect(template(["client", "rx"], 2000)).toMatch(/^minmax\(\d+px, 1fr\) \d+px$/);
});
