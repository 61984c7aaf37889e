import { expect, test } from "vitest";
import type { Summary } from "../src/api";
import { names, subjectFrom } from "../src/compare/add";
import { choose, chosenPaths, keepChosen, MOST } from "../src/compare/chosen";
import styles from "../src/compare/compare.css?raw";
import { apart, columns, DASHES, highest, type Line, stepped } from "../src/compare/lines";
import { figuresOf } from "../src/compare/table";
import { Points } from "../src/points";
import base from "../src/style.css?raw";
import { at, INTERVAL, point, series } from "./samples";

const line = (points: Points): Line => ({
  ...{ subject: { kind: "client", client: "a" }, name: "a", points, p95: null, failed: "" },
});

test("lines change at the times of any, and each is broken where it has nothing", () => {
  const [a, b] = [line(series(0, 1, 4)), line(series(1, 2))];
  const [times, rxA, txA, rxB] = columns([a, b], 0, 0, 8);
  const changes = [at(0), at(1), at(2), at(2) + 0.01, at(3), at(3) + 0.01];
  const all = [...changes, at(4), at(5), at(5) + 0.01];
  expect(times).toEqual(all.map((time) => time / 1000));
  const rate = 16_000;
  expect(rxA).toEqual([rate, rate, rate, null, null, null, rate, rate, null]);
  expect(txA?.[0]).toBe(-8000);
  expect(rxB).toEqual([null, rate, rate, rate, rate, null, null, null, null]);
  expect(highest([a, b], "rx")).toBe(2000);
});

test("a step that was measured in part is as long as the others", () => {
  const step = 4 * INTERVAL;
  const points = new Points([point(0), point(4), point(12)]);
  const [times, rx] = columns([line(points)], step, 0, 8);
  const all = [at(0), at(4), at(8), at(8) + 0.01, at(12), at(16), at(16) + 0.01];
  expect(times).toEqual(all.map((time) => time / 1000));
  expect(rx).toEqual([16_000, 16_000, 16_000, null, 16_000, 16_000, null]);
});

test("points are added up to steps, and no byte is lost", () => {
  const all = [0, 1, 2, 3, 5, 8].map((index) => point(index, 1000 + index, { drops: index }));
  const steps = stepped(all, 4 * INTERVAL);
  expect(steps.map(({ time }) => Date.parse(time))).toEqual([0, 4, 8].map(at));
  expect(steps.map(({ rx }) => rx.bytes)).toEqual([4006, 1005, 1008]);
  expect(steps.map(({ interval_ns }) => interval_ns / 1e6 / INTERVAL)).toEqual([4, 1, 1]);
  expect(steps.map(({ drops }) => drops)).toEqual([6, 5, 8]);
  expect(steps[0]?.rx.peak_1ms_bytes).toBe(10.03);
  expect(all[0]?.rx.bytes).toBe(1000);
});

test("eight can be chosen, and the ninth is refused until one is left out", () => {
  keepChosen([]);
  const paths = Array.from({ length: MOST }, (_, index) => `/client/${index}`);
  for (const path of paths) expect(choose(path, true)).toBe(true);
  expect(choose("/client/9", true)).toBe(false);
  expect(chosenPaths()).toEqual(paths);
  expect(choose("/client/0", true)).toBe(true);
  expect(choose("/client/0", false)).toBe(true);
  expect(choose("/client/9", true)).toBe(true);
  expect(chosenPaths()).toHaveLength(MOST);
  keepChosen([]);
});

const client = (client: string, alias: string, tags: Record<string, string>): Summary =>
  ({ client, alias, tags }) as Summary;
const known = [
  client("web-1", "Front end", { site: "ams" }),
  client("web-10", "", { site: "fra", role: "web" }),
];

test.each([
  ["web-1", { kind: "client", client: "web-1" }],
  ["Front end", { kind: "client", client: "web-1" }],
  ["web-10 eth0", { kind: "nic", client: "web-10", nic: "eth0" }],
  ["web-1/eth0.7", { kind: "nic", client: "web-1", nic: "eth0.7" }],
  ["site=ams", { kind: "group", tags: [["site", "ams"]] }],
  [
    "site=fra, role=web",
    {
      kind: "group",
      tags: [
        ["site", "fra"],
        ["role", "web"],
      ],
    },
  ],
  ["web-11", null],
  ["", null],
])("%j names what it says", (text, subject) => {
  expect(subjectFrom(text, known)).toEqual(subject);
});

test("names are offered by any part of them", () => {
  expect(names("fr", known)).toEqual(["Front end", "site=fra"]);
  expect(names("", known)).toHaveLength(6);
});

test("numbers at the ends of lines don't lie on each other, and stay inside", () => {
  expect(apart([10, 50], 13, 0, 100)).toEqual([10, 50]);
  expect(apart([50, 50, 51], 13, 0, 100)).toEqual([50, 63, 76]);
  expect(apart([99, 100], 13, 0, 100)).toEqual([87, 100]);
});

/** Relative luminance, by WCAG. */
function luminance(hex: string): number {
  const parts = [1, 3, 5].map((from) => {
    const part = Number.parseInt(hex.slice(from, from + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const [red = 0, green = 0, blue = 0] = parts;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const colors = (sheet: string, name: RegExp): string[] =>
  [...sheet.matchAll(name)].map(([, hex]) => hex ?? "");

test("each line can be told from the ground in both themes, and without its colour", () => {
  const lines = colors(styles, /--line-\d: (#[0-9a-f]{6})/g);
  const grounds = colors(base, /--surface: (#[0-9a-f]{6})/g);
  expect([lines.length, grounds.length]).toEqual([2 * MOST, 2]);
  lines.forEach((hex, index) => {
    const [a, b] = [luminance(hex), luminance(grounds[Math.floor(index / MOST)] ?? "")];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    expect(contrast, hex).toBeGreaterThan(3);
  });
  expect(new Set(DASHES.map((dash) => dash.join())).size).toBe(MOST);
});

test("figures have the percentile of a line that has one", () => {
  const some = { ...line(series(0, 1)), p95: { rx: 1_250_000, tx: 125 } };
  const [told, none] = [some, line(series(0, 1))].map(figuresOf);
  expect([told?.[1], told?.[5], told?.length]).toEqual(["10.0 Mbit/s", "1.00 kbit/s", 9]);
  expect([none?.[1], none?.[5], none?.length]).toEqual(["–", "–", 9]);
});
