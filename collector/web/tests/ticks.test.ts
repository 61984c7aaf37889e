import { expect, test } from "vitest";
import { ticks } from "../src/chart/ticks";
import { moment } from "../src/time";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BERLIN = "Europe/Berlin";

const labels = (from: number, to: number, width: number, zone: string, locale = "en-GB") =>
  ticks(from, to, width, zone, locale).map(({ label }) => label);

test("the first tick says which day it is", () => {
  const begin = Date.UTC(2026, 10, 26, 3, 1, 30);
  expect(labels(begin, begin + 5 * MINUTE, 400, "UTC")).toEqual([
    "03:02\n26 Nov 2026",
    ...["03:03", "03:04", "03:05", "03:06"],
  ]);
  expect(labels(begin, begin + MINUTE, 400, "UTC", "zh-CN")[0]).toBe("03:01:30\n2026年11月26日");
});

test("each new day is named", () => {
  const begin = Date.UTC(2026, 10, 25, 12);
  expect(labels(begin, begin + DAY, 400, "UTC")).toEqual([
    ...["12:00\n25 Nov 2026", "18:00", "00:00\n26 Nov 2026", "06:00", "12:00"],
  ]);
});

test("an hour that is there twice in autumn is told apart", () => {
  // Midnight in Berlin; clocks go back from 03:00 to 02:00.
  const begin = Date.UTC(2026, 9, 24, 22);
  expect(labels(begin, begin + 5 * HOUR, 480, BERLIN)).toEqual([
    ...["00:00\n25 Oct 2026", "01:00", "02:00", "02:00\nUTC+01:00", "03:00", "04:00"],
  ]);
});

test("an hour that is missing in spring is missing", () => {
  const begin = Date.UTC(2026, 2, 28, 23);
  expect(labels(begin, begin + 4 * HOUR, 480, BERLIN)).toEqual([
    ...["00:00\n29 Mar 2026", "01:00", "03:00\nUTC+02:00", "04:00", "05:00"],
  ]);
});

test("days begin at midnight though one of them has 25 hours", () => {
  const from = Date.UTC(2026, 9, 23, 12);
  const seen = ticks(from, from + 4 * DAY, 480, BERLIN, "en-GB");
  expect(seen.map(({ label }) => label)).toEqual([
    ...["24 Oct\n2026", "25 Oct", "26 Oct", "27 Oct"],
  ]);
  for (const { time } of seen) expect(moment(time, 1000, BERLIN)).toMatch(/ 00:00:00$/);
});

test("weeks begin on Mondays, months on their first day", () => {
  const from = Date.UTC(2026, 9, 1);
  const mondays = ticks(from, from + 60 * DAY, 900, "UTC", "en-GB");
  expect(mondays.map(({ time }) => new Date(time).getUTCDay())).toEqual(Array(9).fill(1));
  expect(labels(from, from + 400 * DAY, 500, BERLIN).slice(0, 4)).toEqual([
    ...["Nov\n2026", "Jan\n2027", "Mar", "May"],
  ]);
});

test.each([BERLIN, "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"])(
  "ticks in %s are apart, in order, within the range, and round, whatever is shown",
  (zone) => {
    // Around the days when clocks change, on either half of the globe.
    for (const begin of [Date.UTC(2026, 2, 28), Date.UTC(2026, 3, 4), Date.UTC(2026, 9, 24)]) {
      for (const length of [
        0.1,
        7_000,
        5 * MINUTE,
        HOUR,
        6 * HOUR,
        DAY,
        2 * DAY,
        7 * DAY,
        90 * DAY,
      ]) {
        for (const width of [200, 390, 1200]) {
          const [from, to] = [begin + 12_345, begin + 12_345 + Math.max(100, length)];
          const seen = ticks(from, to, width, zone, "en-GB");
          const places = seen.map(({ time }) => ((time - from) / (to - from)) * width);
          const gaps = places.slice(1).map((place, index) => place - (places[index] ?? 0));
          const what = `${zone} ${begin} ${length} ${width}`;
          // A jump takes or gives an hour.
          expect(Math.min(...gaps, width), what).toBeGreaterThan(36);
          expect(
            seen.every(({ time }) => time >= from && time <= to),
            what,
          ).toBe(true);
          if (length > DAY) {
            for (const { time } of seen) expect(moment(time, 1000, zone), what).toMatch(/:00:00$/);
          }
        }
      }
    }
  },
);
