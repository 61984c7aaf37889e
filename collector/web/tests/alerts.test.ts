import { expect, test } from "vitest";
import type { Alert, Delivery, Rule, Silence } from "../src/alerts/api";
import { countOf } from "../src/alerts/firing";
import { matches } from "../src/alerts/glob";
import { merged, newest } from "../src/alerts/past";
import {
  about,
  age,
  amount,
  condition,
  hushed,
  placeOf,
  silenceOf,
  told,
  what,
  when,
  where,
  why,
  wordsOf,
  worst,
} from "../src/alerts/words";
import { language, switchLanguage } from "../src/i18n";
import { inUtc, switchZone } from "../src/time";

if (language() === "zh") switchLanguage();
if (!inUtc()) switchZone();

const NOW = Date.parse("2026-11-26T10:00:00Z");
const MARKUP = "<b onclick=alert(1)>&amp;";

const alert: Alert = {
  id: "01",
  state: "firing",
  title: "web-1 eth0 rx: 97.3 % of the link, above 90 %",
  rule: "full",
  measure: "utilisation",
  severity: "critical",
  client: "web-1",
  alias: "the web server",
  nic: "eth0",
  direction: "rx",
  name: null,
  since: "2026-11-26T09:12:03Z",
  fired: "2026-11-26T09:12:33Z",
  resolved: null,
  ended: null,
  value: 97.25,
  bound: 90,
  side: "above",
  worst: 97.25,
  worst_at: "2026-11-26T09:12:30Z",
  unit: "percent",
  detail: "",
  muted: null,
  announced: true,
  deliveries: [],
};

const rule: Rule = {
  name: "full",
  measure: "utilisation",
  severity: "critical",
  side: "above",
  bound: 90,
  clear: 81,
  unit: "percent",
  for_seconds: 30,
  clear_for_seconds: 60,
  direction: null,
  targets: ["ops"],
  quiet_until: null,
};
const rules = new Map([["full", rule]]);

const silence: Silence = {
  id: "ab12",
  rule: null,
  client: "web-*",
  nic: null,
  tag: null,
  from: "2026-11-26T09:00:00Z",
  until: "2026-11-26T12:00:00Z",
  by: "ann",
  reason: MARKUP,
};

const sent: Delivery = {
  event: "firing",
  target: "ops",
  state: "sent",
  attempts: 1,
  ended: "2026-11-26T09:12:34Z",
  error: null,
};

test("values have units", () => {
  expect(amount(1, "packets")).toBe("1 packet");
  expect(amount(25_574, "packets")).toBe("25 574 packets");
  expect(amount(97.25, "percent")).toBe("97.3 %");
  expect(amount(90, "percent")).toBe("90 %");
  expect(amount(1e9, "bits_per_second")).toBe("1.00 Gbit/s");
  expect(amount(90, "seconds")).toBe("1.5 min");
  expect(amount(2 ** 30, "bytes")).toBe("1.07 GB");
  expect(amount(1, "")).toBe("");
});

test.each<[Partial<Alert>, string]>([
  [{}, "97.3 % of the link's speed, above 90 %"],
  [{ measure: "host_down", unit: "", value: 1, bound: 0.5 }, "down"],
  [{ measure: "loss", unit: "packets", value: 12, bound: 0 }, "12 packets lost"],
  [
    { measure: "peak_1ms", unit: "bits_per_second", value: 9.9e9, bound: 9e9 },
    "1 ms peak of 9.90 Gbit/s, above 9.00 Gbit/s",
  ],
  [
    { measure: "rate", unit: "bits_per_second", value: 0, bound: 1e6, side: "below" },
    "0 bit/s, below 1.00 Mbit/s",
  ],
  [{ measure: "clock", unit: "seconds", value: 2.5, bound: 1 }, "clock off by 2.5 s, above 1 s"],
  [
    { measure: "certificate", unit: "seconds", value: 864e3, bound: 1_209_600, side: "below" },
    "a certificate expires in 10 d",
  ],
  [{ measure: "certificate", unit: "seconds", value: 0 }, "a certificate has expired"],
  [{ measure: "store", unit: "" }, "the database fails"],
  [
    { measure: "disk", unit: "bytes", value: 5e8, bound: 1e9, side: "below" },
    "500 MB free, below 1.00 GB",
  ],
  [{ measure: "account", unit: "", detail: "transit: 80 % used" }, "transit: 80 % used"],
  [{ measure: "humidity", title: "web-1: 80 % humid" }, "web-1: 80 % humid"],
])("what happened is said in figures: %j", (how, text) => {
  expect(what({ ...alert, ...how })).toBe(text);
});

test("it says what it is about", () => {
  expect(where(alert)).toBe("web-1 (the web server) eth0 received");
  const named = { client: null, alias: null, nic: null, direction: null, name: "monitor-1" };
  expect(where({ ...alert, ...named })).toBe("monitor-1");
});

test("it leads to its moment, of a long one to the worst", () => {
  const begin = Date.parse(alert.since);
  // 48 min until now, and as much before and after.
  const length = NOW - begin;
  const range = `from=${begin - length}&to=${NOW + length}`;
  const who = `talkers=rx-host-rate&at=${Date.parse(alert.worst_at)}`;
  expect(placeOf(alert, NOW)).toBe(`#/client/web-1/eth0?${range}&${who}`);
  expect(placeOf({ ...alert, measure: "clock" }, NOW)).toBe(`#/client/web-1/eth0?${range}`);
  const week = { ...alert, since: "2026-11-19T00:00:00Z" };
  const [from, to] = [...placeOf(week, NOW).matchAll(/\d{13}/g)].map(Number);
  const bad = Date.parse(alert.worst_at);
  expect(Number(from) < bad && bad < Number(to)).toBe(true);
  expect(Number(to) - Number(from)).toBeLessThanOrEqual(30 * 36e5);
  expect(placeOf({ ...alert, client: null }, NOW)).toBe("");
  expect(placeOf({ ...alert, client: null, measure: "account" }, NOW)).toBe("#/accounts");
  expect(placeOf({ ...alert, nic: "a/b?c#d" }, NOW)).toContain("/a%2Fb%3Fc%23d?");
});

test("it says since when, or from when to when and how it ended", () => {
  expect(when(alert)).toBe("since 2026-11-26 09:12:03");
  const over = { ...alert, resolved: "2026-11-26T09:20:03Z", ended: "calm" };
  expect(when(over)).toBe("2026-11-26 09:12:03 – 09:20:03 UTC (8 min)");
  const lost = { ...over, ended: "no_data" };
  expect(when(lost)).toBe("2026-11-26 09:12:03 – 09:20:03 UTC (8 min), no more data");
  const back = { ...over, resolved: "2026-11-26T09:00:00Z" };
  expect(when(back), "clocks may be set back").toContain("(0 ms)");
});

test.each([
  [-5, "1 s"],
  [59.9, "59 s"],
  [61, "1 min"],
  [150, "2 min"],
  [100 * 60 + 59, "100 min"],
])("its age after %s s is %s", (seconds, text) => {
  expect(age(alert, Date.parse(alert.since) + seconds * 1000)).toBe(text);
});

test("the worst is told if it was worse than at first", () => {
  expect(worst(alert)).toBe("");
  expect(worst({ ...alert, worst: 99 })).toBe("worst: 99 % at 2026-11-26 09:12:30");
});

test("it says by which rule it fired", () => {
  expect(why(alert, rules)).toBe(
    "Rule full: utilisation above 90 % for 30 s; over at 81 % for 1 min.",
  );
  expect(why({ ...alert, bound: 80 }, rules)).toMatch(/ It was 80 % when this fired\.$/);
  expect(why({ ...alert, rule: "gone" }, rules)).toBe(
    "Rule gone, which is no longer in the config",
  );
  const down = { measure: "host_down", unit: "", bound: 0.5, clear: 0.5 } as const;
  expect(condition({ ...rule, ...down })).toBe("client down for 30 s; over after 1 min.");
  const rx = { ...rule, direction: "rx", for_seconds: 0 } as const;
  expect(condition(rx)).toBe("utilisation received above 90 %; over at 81 % for 1 min.");
});

test("it says to whom it was told, or why not", () => {
  expect(told(sent)).toEqual(["ops was told at 2026-11-26 09:12:34", ""]);
  expect(told({ ...sent, event: "resolved" })[0]).toMatch(/^ops was told at .* that it is over$/);
  const waiting = { ...sent, state: "waiting", ended: null, attempts: 0 } as const;
  expect(told(waiting)).toEqual(["ops is about to be told", ""]);
  expect(told({ ...waiting, attempts: 3, error: "503 from ops" })).toEqual([
    "ops could not be told yet (tries: 3): 503 from ops",
    "warn",
  ]);
  const failed = { ...sent, state: "failed", attempts: 9, error: null } as const;
  expect(told(failed)).toEqual([
    "ops was not told; given up at 2026-11-26 09:12:34 (tries: 9): reason unknown",
    "bad",
  ]);
});

test("a silence is that which is cited, or one that covers it now", () => {
  expect(silenceOf(alert, [silence], NOW)).toBe(silence);
  for (const how of [
    { client: "db-*" },
    { rule: "other" },
    { nic: "wlan*" },
    { tag: "site=ams" },
    { until: "2026-11-26T09:59:00Z" },
    { from: "2026-11-26T11:00:00Z" },
  ]) {
    expect(silenceOf(alert, [{ ...silence, ...how }], NOW), JSON.stringify(how)).toBeUndefined();
  }
  const tagged = { ...silence, tag: "site=ams" };
  const muted = { ...alert, muted: "silence ab12 of ann: x" };
  expect(silenceOf(muted, [tagged], NOW)).toBe(tagged);
});

test("it says why nobody is told, and until when", () => {
  const deliveries = [sent];
  expect(hushed({ ...alert, deliveries }, rules, [], NOW)).toBe("");
  expect(hushed(alert, rules, [], NOW)).toBe("Nobody was told: no target wants it.");
  expect(hushed(alert, rules, [silence], NOW)).toBe(
    `Silenced until 2026-11-26 12:00:00 by ann: ${MARKUP}`,
  );
  const quiet = new Map([["full", { ...rule, quiet_until: "2026-11-26T11:00:00Z" }]]);
  const muted = { ...alert, announced: false, muted: "quiet hours" };
  expect(hushed(muted, quiet, [], NOW)).toBe("Quiet hours until 2026-11-26 11:00:00");
  const over = { ...muted, resolved: "2026-11-26T09:20:03Z" };
  expect(hushed(over, quiet, [silence], NOW)).toBe("Nobody was told: quiet hours");
});

test("a silence says what it is about", () => {
  expect(about(silence)).toBe("clients web-*");
  const all = { rule: null, client: null, nic: null, tag: null };
  expect(about({ ...silence, ...all })).toBe("all alerts");
  const much = { rule: "full", nic: "eth*", tag: "site=ams" };
  expect(about({ ...silence, ...much })).toBe("rule full, clients web-*, NICs eth*, tag site=ams");
});

test("foreign text stays as it is", () => {
  const foreign = { ...alert, alias: MARKUP, nic: MARKUP, detail: MARKUP };
  const words = wordsOf(foreign, { rules, silences: [silence], now: NOW });
  expect(words.where).toBe(`web-1 (${MARKUP}) ${MARKUP} received`);
  expect(words.lines.map(([part]) => part)).toEqual(["why", "hushed", "detail"]);
  expect(words.href).not.toContain("<");
});

test.each([
  ["web-*", "web-1", true],
  ["web-*", "db-1", false],
  ["web-?", "web-12", false],
  ["{web,db}-[0-9]", "db-7", true],
  ["[!a-c]x", "ax", false],
  ["[!a-c]x", "dx", true],
  ["a.b+c", "a.b+c", true],
  ["a.b", "aXb", false],
  ["[", "[", true],
  ["[z-a]", "z", false],
  ["*", "", true],
])("the glob %s and %s: %s", (glob, text, is) => {
  expect(matches(glob, text)).toBe(is);
});

test("pages of the past become one list without doubles, the newest first", () => {
  const at = (id: string, second: number): Alert => ({
    ...alert,
    id,
    fired: new Date(NOW + second * 1000).toISOString(),
  });
  const ids = (list: Alert[]) => list.map(({ id }) => id).join("");
  const list = merged([at("d", 4), at("c", 3)], [at("b", 2), at("a", 2)]);
  expect(ids(list)).toBe("dcba");
  const newer = { ...at("c", 3), ended: "calm" };
  const again = merged(list, [at("e", 5), newer]);
  expect(ids(again)).toBe("edcba");
  expect(again[2]).toBe(newer);
});

test("as many of the past as are shown are asked for anew, and those that are gone go", async () => {
  const all = Array.from({ length: 700 }, (_, n) => ({ ...alert, id: `${n}` }));
  const asked: number[] = [];
  const ask = (cursor: string | null, limit: number) => {
    asked.push(limit);
    const begin = Number(cursor ?? 0);
    const end = begin + limit;
    const next = end < all.length ? `${end}` : null;
    return Promise.resolve({ alerts: all.slice(begin, end), next });
  };
  const first = await newest(0, ask);
  expect([first.alerts.length, first.next, asked]).toEqual([50, "50", [50]]);
  asked.length = 0;
  const shown = await newest(600, ask);
  expect([shown.alerts.length, shown.next, asked]).toEqual([600, "600", [500, 100]]);
  // Retention has deleted all but a few.
  all.length = 3;
  const left = await newest(600, ask);
  expect([left.alerts.length, left.next]).toEqual([3, null]);
});

test("what fires is counted, and whether it is critical", () => {
  const of = (alerts: Alert[] | null, more = false) => countOf({ alerts, more, failed: "" });
  expect(of(null)).toEqual(["", false]);
  expect(of([])).toEqual(["", false]);
  expect(of([alert, { ...alert, severity: "warning" }])).toEqual(["2", true]);
  expect(of([{ ...alert, severity: "warning" }], true)).toEqual(["1+", false]);
});
