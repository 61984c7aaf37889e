import { beforeEach, expect, test, vi } from "vitest";
import { type OverviewState, USUAL } from "../src/address";
import type { Peak, Summary } from "../src/api";
import { asFineAsThereIs, askable, asked, type Group, stepFor } from "../src/groups/api";
import { lacking, largest } from "../src/groups/members";
import { nameOf, now } from "../src/groups/now";
import { language, switchLanguage } from "../src/i18n";
import { grouped, isGroup, keysOf, sumUp } from "../src/overview/groups";
import { History, MINUTES } from "../src/overview/history";
import { arranged, type Row, updated } from "../src/overview/rows";
import { searchOf, withTag } from "../src/overview/search";
import { health } from "../src/presence";
import { tagsOf } from "../src/tags";

if (language() === "zh") switchLanguage();

const NOW = Date.UTC(2026, 10, 26, 12);
const told = new Date(NOW).toISOString();
let history: History;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  health.heard(NOW, NOW);
  history = new History();
  return () => vi.useRealTimers();
});

const peak = (rate: number): Peak => ({
  ...{ nic: "eth0", time: told, interval_ns: 5e8, direction: "rx" },
  ...{ bytes_per_second: rate, share: null },
});

function row(client: string, rate: number, tags: string, more: Partial<Summary> = {}): Row {
  const sum = { bytes_per_second: rate, packets_per_second: 1, peak_1ms_bytes_per_second: rate };
  const summary: Summary = {
    ...{ client, alias: "", up: true, elsewhere: false, last_seen: told, observed: told },
    ...{ clock_offset_ns: 0, second_host: null, sample_interval_ns: 5e8, links_down: [] },
    ...{ utilisation: null, rx: sum, tx: sum, drops_total: 1, late_total: 0, inexact_total: 0 },
    tags: Object.fromEntries(tagsOf(tags)),
    ...more,
  };
  return updated(undefined, summary, history);
}

const usual: OverviewState = {
  ...{ search: "", sort: "rx", descending: true, attention: false, dense: false },
  ...{ columns: USUAL, by: "", closed: [] },
};
const listed = (rows: Row[], how: Partial<OverviewState>): string[] => {
  const state = { ...usual, ...how };
  const order = arranged(rows, state, history);
  return grouped(order, state, history).map(({ client }) => client.client);
};

const fleet = (): Row[] => [
  row("ams-1", 10, "site=ams,role=cache"),
  row("ams-2", 30, "site=ams,role=web"),
  row("fra-1", 35, "site=fra,role=web"),
  row("bare", 99, ""),
];

test("a search finds tags and text, and one for no value who lacks the tag", () => {
  const rows = fleet();
  expect(listed(rows, { search: "site=ams" })).toEqual(["ams-2", "ams-1"]);
  expect(listed(rows, { search: "role=web site=ams" })).toEqual(["ams-2"]);
  expect(listed(rows, { search: "role=web FRA" })).toEqual(["fra-1"]);
  expect(listed(rows, { search: "site=" })).toEqual(["bare"]);
  expect(listed(rows, { search: "site=am" })).toEqual([]);
  expect(listed([row("a", 1, "constructor=x")], { search: "site=" })).toEqual(["a"]);
  expect(listed(rows, { search: "constructor=" })).toHaveLength(4);
});

test("an alias with spaces is found as it is written, with tags around it", () => {
  const { tags, text } = searchOf("  site=ams Frontend  Frankfurt role=web ");
  expect([tags, text]).toEqual([
    [
      ["site", "ams"],
      ["role", "web"],
    ],
    "frontend frankfurt",
  ]);
});

test("a tag that is chosen replaces the one of its key, and goes when chosen again", () => {
  expect(withTag("web", ["site", "ams"])).toBe("web site=ams");
  expect(withTag("site=fra web", ["site", "ams"])).toBe("web site=ams");
  expect(withTag("web site=ams", ["site", "ams"])).toBe("web");
});

test("groups are in the order of their sums, and those without the tag come last", () => {
  const rows = fleet();
  const by = { by: "site" };
  const all = ["site=ams", "ams-2", "ams-1", "site=fra", "fra-1", "site=", "bare"];
  expect(listed(rows, by)).toEqual(all);
  expect(listed(rows, { ...by, closed: ["ams", ""] })).toEqual([
    ...["site=ams", "site=fra", "fra-1", "site="],
  ]);
  expect(listed(rows, { ...by, sort: "client", descending: false })[0]).toBe("site=ams");
  expect(listed(rows, { ...by, search: "role=web" })).toEqual([
    ...["site=fra", "fra-1", "site=ams", "ams-2"],
  ]);
  expect(keysOf(rows.map(({ client }) => client))).toEqual(["role", "site"]);
});

test("a group has the sums, the highest peak, the worst link and all losses of its clients", () => {
  const link = { nic: "eth0", direction: "rx", speed_bits_per_second: 1e9 } as const;
  const lost = { nic: "eth1", time: told, interval_ns: 5e8, packets: 7 };
  const hour = { peak_1ms: peak(5), peak_10ms: null, lost };
  const silent = { observed: new Date(NOW - 60_000).toISOString() };
  const rows = [
    row("a", 10, "site=x", { utilisation: { ...link, share: 0.9 }, hour }),
    row("b", 20, "site=x", {
      utilisation: { ...link, share: 0.8, full_since: told },
      hour: { ...hour, peak_1ms: peak(9) },
    }),
    // What it carried last is not what it carries.
    row("c", 1000, "site=x", { ...silent, utilisation: { ...link, share: 1 } }),
  ];
  const [group] = grouped(rows, { ...usual, by: "site" }, history).filter(isGroup);
  if (!group) throw new Error("no group");
  const { client } = group;
  expect(client.rx).toMatchObject({ bytes_per_second: 30, peak_1ms_bytes_per_second: 20 });
  expect(client.utilisation).toMatchObject({ client: "b", share: 0.8 });
  expect(client.hour?.peak_1ms).toMatchObject({ client: "b", bytes_per_second: 9 });
  expect(client.hour?.lost).toMatchObject({ packets: 14 });
  expect(client.drops_total).toBe(3);
  expect(group.marks).toMatchObject([{ text: "need attention: 3", kind: "bad" }]);
  // It follows what its clients do.
  (rows[0] as Row).client = { ...(rows[0] as Row).client, rx: client.tx };
  sumUp(group);
  expect(group.client.rx.bytes_per_second).toBe(50);
});

test("the last hour of a group is that of its clients together", () => {
  const rates = (rate: number): (number | null)[] => [rate, ...new Array(MINUTES - 1).fill(null)];
  const of = (client: string, rate: number, lost: [number, number][]) => ({
    ...{ client, rx: rates(rate), tx: rates(rate), lost },
  });
  const clients = [of("a", 1, [[3, 5]]), of("b", 2, [[3, 6]]), of("c", 4, [])];
  history.take({ from: told, interval_ns: 6e10, clients });
  expect(history.together("x", ["a", "b"])).toEqual({
    ...{ client: "x", rx: rates(3), tx: rates(3), lost: [[3, 11]] },
  });
});

test("a step is as fine as the chart can show, and tiles hours, days or weeks", () => {
  const steps = [1, 6, 24, 7 * 24, 30 * 24, 400 * 24].map((hours) => stepFor(hours * 3600_000));
  expect(steps.map((step) => step / 60_000)).toEqual([1, 5, 5, 60, 180, 10_080]);
});

test("what is no longer kept as fine is asked for once more, coarser", async () => {
  const get = (step: number) => Promise.resolve(step);
  expect(await asFineAsThereIs(3600_000, get, () => false)).toBe(60_000);
  expect(await asFineAsThereIs(3600_000, get, () => true)).toBe(300_000);
  expect(await asFineAsThereIs(864e6, get, () => true)).toBe(stepFor(864e6));
});

test("a group is asked for by its tags; who lacks one, by its values", () => {
  expect(asked({ tags: tagsOf("site=ams,role=web") })).toEqual({ tag: "site=ams,role=web" });
  expect(asked({ tags: [] })).toEqual({});
  expect(asked({ tags: tagsOf("site=,role=web") })).toEqual({ tag: "role=web", by: "site" });
  expect(asked({ client: "web-1" })).toEqual({ client: "web-1" });
  expect([askable(tagsOf("site=")), askable(tagsOf("site=,role="))]).toEqual([true, false]);
});

const group = (value: string, bytes: number, measured: number): Group => ({
  ...{ value, clients: 1, rx_bytes: bytes, tx_bytes: 0, rx_p95_bits_per_second: 1 },
  ...{ tx_p95_bits_per_second: 1, intervals: 100, measured_intervals: measured, points: [] },
});

test("members come by size, and those measured for less time are told", () => {
  const members = [group("a", 1, 90), group("b", 9, 100), group("c", 5, 99)];
  expect(largest(members).map(({ value }) => value)).toEqual(["b", "c", "a"]);
  expect(lacking(members, group("", 15, 100)).map(({ value }) => value)).toEqual(["a"]);
});

test("a group says its name, and what it carries now", () => {
  expect(nameOf([])).toBe("All clients");
  expect(nameOf(tagsOf("site=ams,role="))).toBe("site=ams without role");
  const clients = fleet().map(({ client }) => client);
  expect(now([...clients.slice(0, 2), { ...clients[2], up: false } as Summary])).toBe(
    "now 2 of 3 connected · Received 320 bit/s · Transmitted 320 bit/s",
  );
});
