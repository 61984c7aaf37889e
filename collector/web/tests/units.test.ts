import { beforeEach, expect, test } from "vitest";
import * as units from "../src/units";

beforeEach(() => {
  if (units.unit() === "B/s") units.switchUnit();
});

test.each([
  [0, "0 bit/s"],
  [1, "8 bit/s"],
  [124.9, "999 bit/s"],
  // Rounded to a thousand it gets the next prefix, never a fourth digit.
  [124.95, "1.00 kbit/s"],
  [125, "1.00 kbit/s"],
  [1249, "9.99 kbit/s"],
  [1249.5, "10.0 kbit/s"],
  [12_500, "100 kbit/s"],
  [124_940_000, "1.00 Gbit/s"],
  [1.25e9, "10.0 Gbit/s"],
  [1.25e18, "10000 Pbit/s"],
])("%d bytes per second are written as %s", (rate, text) => {
  expect(units.rate(rate)).toBe(text);
});

test("rates follow the chosen unit, the speed of a link does not", () => {
  units.switchUnit();
  expect(units.rate(1_000_000)).toBe("1.00 MB/s");
  expect(units.inUnit(-2500)).toBe("2.50 kB/s");
  expect(units.perByte()).toBe(1);
  expect(units.speed(10e9)).toBe("10.0 Gbit/s");
});

test.each([
  [0, "0 ms"],
  [499.6, "500 ms"],
  [1000, "1 s"],
  [1500, "1.5 s"],
  [59_949, "59.9 s"],
  [60_000, "1 min"],
  [119 * 60_000, "119 min"],
  [120 * 60_000, "2 h"],
  [24 * 3_600_000, "1 d"],
  [36 * 3_600_000, "1.5 d"],
  [400 * 86_400_000, "400 d"],
])("%d milliseconds are %s long", (milliseconds, text) => {
  expect(units.span(milliseconds)).toBe(text);
});

test("an offset always has its sign", () => {
  expect(units.offset(1500)).toBe("+1.5 s");
  expect(units.offset(-20)).toBe("−20 ms");
});

test("exact numbers have their digits in threes", () => {
  expect(units.exact(7)).toBe("7");
  expect(units.exact(1234)).toBe("1 234");
  expect(units.exact(9_007_199_254_740_991)).toBe("9 007 199 254 740 991");
});

test("a share of nothing is no share, and a small one is not 0 %", () => {
  expect(units.share(0, 0)).toBe("–");
  expect(units.share(0, 5)).toBe("0.0 %");
  expect(units.share(1, 100_000)).toBe("< 0.1 %");
  expect(units.share(1, 3)).toBe("33 %");
  expect(units.share(994, 10_000)).toBe("9.9 %");
  expect(units.share(995, 10_000)).toBe("10 %");
});

test.each([
  ["259.313 GiB of 161.353 GiB, 160.71 %", "259.313_GiB of 161.353_GiB, 160.71_%"],
  ["93 352.680 GB at most", "93_352.680_GB at most"],
  ["1 234 567 packets", "1_234_567 packets"],
  ["9.92 Gbit/s within 10 ms, 3 min ago", "9.92_Gbit/s within 10_ms, 3_min ago"],
  ["25.6 k lost", "25.6_k lost"],
  ["10 毫秒内 9.92 Gbit/s", "10_毫秒内 9.92_Gbit/s"],
  // Neither numbers nor units.
  ["26 Nov 2026 21:14:00", "26 Nov 2026 21:14:00"],
  ["3 of 5 hosts", "3 of 5 hosts"],
  ["8 CPUs · 2 d", "8 CPUs · 2_d"],
])("no line ends within a figure of %j", (text, expected) => {
  expect(units.unparted(text).replace(/\u00a0/g, "_")).toBe(expected);
});
