import { expect, test } from "vitest";
import { end, Points, peak, percentile, rate, sums } from "../src/points";
import { at, INTERVAL, point, sample, series } from "./samples";

const indexes = (points: Points): number[] =>
  points.starts.map((start) => (start - at(0)) / INTERVAL);

test("rates and peaks are per second", () => {
  const seen = point(0, 1000);
  expect(rate(seen, "rx")).toBe(2000);
  expect(rate(seen, "tx")).toBe(1000);
  // 10 bytes within 1 ms.
  expect(peak(seen, "rx")).toBe(10_000);
  expect(end(seen)).toBe(at(1));
});

test("samples that arrive in any order end up in order, each once", () => {
  const points = new Points();
  const added = [3, 1, 2, 3, 1, 0].map((index) => points.add(sample(index)));
  expect(added).toEqual([true, true, true, false, false, true]);
  expect(indexes(points)).toEqual([0, 1, 2, 3]);
});

test("a sample that a longer point covers already is not added", () => {
  const points = new Points([point(0, 1000, { interval_ns: 4 * INTERVAL * 1e6 })]);
  expect(points.add(sample(2))).toBe(false);
  expect(points.add(sample(4))).toBe(true);
  expect(points.length).toBe(2);
});

test("a range has the point that begins before it and reaches into it", () => {
  const points = series(0, 1, 2, 3, 4);
  expect(indexes(points.within(at(1) + 1, at(3)))).toEqual([1, 2]);
  expect(indexes(points.within(at(1), at(3) + 1))).toEqual([1, 2, 3]);
  expect(indexes(points.within(at(9), at(10)))).toEqual([]);
});

test("a time within a gap has no point", () => {
  const points = series(0, 1, 5);
  expect(points.at(at(1))).toBe(1);
  expect(points.at(at(2) - 1)).toBe(1);
  expect(points.at(at(2))).toBe(null);
  expect(points.at(at(5) + 10)).toBe(2);
  expect(points.at(at(0) - 1)).toBe(null);
});

test("what counts as a gap depends on how long points are", () => {
  // Samples that are longer than their part of the range.
  expect(series(0, 1, 2).gap(100)).toBe(INTERVAL / 2);
  // Put together from shorter ones.
  expect(series(0, 1, 2).gap(2000)).toBe(2000);
  expect(new Points().gap(100)).toBe(250);
});

test("sums of a range", () => {
  const points = new Points([point(0, 1000), point(1, 4000), point(2, 0)]);
  expect(sums(points, "rx")).toEqual({ bytes: 5000, packets: 5, peak: 40_000, highest: 8000 });
  expect(sums(new Points(), "tx")).toEqual({ bytes: 0, packets: 0, peak: 0, highest: 0 });
});

test("the 95th percentile is by the nearest rank", () => {
  const points = Array.from({ length: 20 }, (_, index) => point(index, 1000 * (index + 1)));
  // The 19th of 20, in bytes per second.
  expect(percentile(points, "rx")).toBe(38_000);
  expect(percentile(points.slice(0, 1), "rx")).toBe(2000);
  expect(percentile([], "rx")).toBe(0);
});
