import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { OverviewState } from "../src/address";
import type { Sum, Summary } from "../src/api";
import { arranged, marks, needy, type Row, stale, updated, WINDOW } from "../src/overview/rows";
import { health } from "../src/presence";

const NOW = Date.UTC(2026, 10, 26);
const told = (ago = 0): string => new Date(NOW - ago).toISOString();

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  health.heard(NOW, NOW);
});
afterEach(() => {
  vi.useRealTimers();
});

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
  sample_interval_ns: 5e8,
  links_down: [],
  rx: sum(rate),
  tx: sum(rate / 2),
  drops_total: 0,
  late_total: 0,
  inexact_total: 0,
  ...more,
});

const row = (client: string, rate: number, more: Partial<Summary> = {}): Row =>
  updated(undefined, summary(client, rate, more));
const all: OverviewState = { search: "", sort: "rx", descending: true, attention: false };
const names = (rows: Row[]): string[] => rows.map(({ client }) => client.client);

test("the busiest is first, and a silent client carries nothing", () => {
  const rows = [row("a", 10), row("b", 30), row("c", 99, { observed: told(6000) }), row("d", 20)];
  expect(names(arranged(rows, all))).toEqual(["b", "d", "a", "c"]);
  expect(names(arranged(rows, { ...all, descending: false }))).toEqual(["c", "a", "d", "b"]);
});

test("names are in the order of people, and break ties", () => {
  const rows = [row("web-10", 1), row("web-9", 1), row("x", 1, { alias: "Alpha" })];
  const byName: OverviewState = { ...all, sort: "client", descending: false };
  expect(names(arranged(rows, byName))).toEqual(["x", "web-9", "web-10"]);
  expect(names(arranged(rows, all))).toEqual(["web-9", "web-10", "x"]);
});

test("search looks at name and alias, whatever their case", () => {
  const rows = [row("web-1", 1, { alias: "Frontend" }), row("db-1", 1)];
  expect(names(arranged(rows, { ...all, search: "FRONT" }))).toEqual(["web-1"]);
  expect(names(arranged(rows, { ...all, search: "DB" }))).toEqual(["db-1"]);
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
])("%s needs attention", (_, more, text) => {
  const seen = row("a", 1, more);
  expect(marks(seen).map((mark) => mark.text)).toEqual([text]);
  expect(needy(seen)).toBe(true);
});

test("a client at another collector is marked, and needs no attention", () => {
  const seen = row("a", 1, { elsewhere: true });
  expect(marks(seen)).toEqual([{ text: "at another collector", kind: "" }]);
  expect([needy(seen), stale(seen)]).toEqual([false, true]);
});

test("losses are marked for a minute", () => {
  const seen = row("a", 1, { drops_total: 100 });
  expect(marks(seen)).toEqual([]);
  updated(seen, summary("a", 1, { drops_total: 112 }));
  expect(marks(seen)).toEqual([{ text: "12 lost", kind: "bad" }]);
  vi.setSystemTime(NOW + 61_000);
  updated(seen, summary("a", 1, { drops_total: 112, observed: told(-61_000) }));
  expect(marks(seen)).toEqual([]);
});

test("the last minute has the highest rate of each second, and holes where nothing came", () => {
  const seen = row("a", 10);
  updated(seen, summary("a", 30));
  updated(seen, summary("a", 20));
  updated(seen, summary("a", 5, { observed: told(-3000) }));
  const received = (second: number) => seen.recent[2 * (second % WINDOW)];
  const begin = NOW / 1000;
  expect([0, 1, 2, 3].map((after) => received(begin + after))).toEqual([30, -1, -1, 5]);
});
