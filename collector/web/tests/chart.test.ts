import { expect, test } from "vitest";
import { bend, bentTicks, limits } from "../src/chart/scale";
import {
  columns,
  lossOpacity,
  partly,
  type Shown,
  scaleOf,
  unmeasured,
  wholeUntil,
} from "../src/chart/shown";
import { Points } from "../src/points";
import { at, INTERVAL, point, series } from "./samples";

const shown = (points: Points, more: Partial<Shown> = {}): Shown => ({
  points,
  from: at(0),
  to: at(10),
  gap: INTERVAL / 2,
  whole: at(10),
  peaks: true,
  bend: 0,
  p95: { rx: 0, tx: 0 },
  events: [],
  speed: 0,
  step: 0,
  ...more,
});

test("received is above 0, transmitted below, and a gap breaks both", () => {
  const [times, rx, rxPeak, tx, txPeak] = columns(shown(series(0, 1, 4)), 8);
  const begins = [at(0), at(1), at(2), at(2) + 0.01, at(4), at(5), at(5) + 0.01];
  expect(times).toEqual(begins.map((time) => time / 1000));
  expect(rx).toEqual([16_000, 16_000, 16_000, null, 16_000, 16_000, null]);
  expect(tx).toEqual([-8000, -8000, -8000, null, -8000, -8000, null]);
  expect(rxPeak[0]).toBe(80_000);
  expect(txPeak[0]).toBe(-40_000);
});

test("without peaks there are none", () => {
  const [, , rxPeak, , txPeak] = columns(shown(series(0), { peaks: false }), 8);
  expect([...rxPeak, ...txPeak].every((value) => value === null)).toBe(true);
});

test("what no point covers is unmeasured, but for the last seconds", () => {
  expect(unmeasured(shown(series(0, 1, 4)))).toEqual([[at(2), at(4)]]);
  expect(unmeasured(shown(series(2)))).toEqual([[at(0), at(2)]]);
  expect(unmeasured(shown(series(0), { to: at(12) }))).toEqual([[at(1), at(12)]]);
  expect(unmeasured(shown(new Points()))).toEqual([[at(0), at(10)]]);
  // Of what began later, more may come.
  const whole = wholeUntil(at(5) + 5000, true);
  expect(whole).toBe(at(5));
  expect(unmeasured(shown(series(0, 1, 4, 7), { whole }))).toEqual([
    [at(2), at(4)],
    [at(5), at(7)],
  ]);
  expect(unmeasured(shown(series(0, 1, 4, 5, 7), { whole }))).toEqual([[at(2), at(4)]]);
  expect(wholeUntil(at(5), false)).toBe(at(5));
});

test("a step that was measured in part says how much of it is lacking", () => {
  // Steps of two samples: the first has both, the second one of them; the newest has begun.
  const step = 2 * INTERVAL;
  const whole = point(0, 1000, { interval_ns: step * 1e6 });
  const points = new Points([whole, point(2), point(4)]);
  const seen = shown(points, { step, gap: 0.999 * step, to: at(5) });
  expect(partly(seen)).toEqual([[at(2), at(4), 0.5]]);
  expect(unmeasured(seen)).toEqual([]);
  expect(partly({ ...seen, step: 0 })).toEqual([]);
  expect(points.at(at(3), step)).toBe(1);
  expect(points.at(at(3))).toBe(null);
});

test("a bent scale has 0 and round rates on both sides, within its ends", () => {
  const few = bentTicks(1000, -2000, 6000, 400);
  expect(few).toEqual([-2000, -1000, 0, 1000, 2000, 5000]);
  const many = [-10, -1, 0, 1, 10, 100, 1000, 10_000, 100_000, 1e6];
  expect(bentTicks(1, -10, 1e6, 400)).toEqual(many);
});

test.each([60, 120, 300, 900])("labels of a bent scale of %d pixels are apart", (height) => {
  for (const high of [3000, 1e6, 1e9, 1e12]) {
    const seen = bentTicks(1000, -high / 3, high, height);
    const position = (value: number) => Math.asinh(value / 1000);
    const pixels = height / (position(high) - position(-high / 3));
    const places = seen.map((tick) => position(tick) * pixels);
    const gaps = places.slice(1).map((place, index) => place - (places[index] ?? 0));
    expect(Math.min(...gaps, Number.POSITIVE_INFINITY)).toBeGreaterThan(17);
  }
});

test("a scale bends at a round rate below what is usual", () => {
  expect(bend({ rx: 5_000_000, tx: 100 }, 8)).toBe(10_000_000);
  expect(bend({ rx: 0, tx: 0 }, 1)).toBe(1000);
});

test("neither direction is pressed flat by the other", () => {
  expect(limits(1_000_000, 10_000, false)).toEqual([-280_000, 1_120_000]);
  expect(limits(0, 0, false)).toEqual([-280, 280]);
  expect(limits(4000, 4000, true)).toEqual([-6000, 6000]);
});

test("peaks do not drown a quiet host: the scale cuts them off, and says how high they are", () => {
  const quiet = series(0, 1);
  for (const point of quiet.all) point.rx.peak_1ms_bytes = 100_000;
  const { ends, cut } = scaleOf(shown(quiet), 8);
  // The mean is 2000 bytes per second.
  expect(ends[1]).toBeCloseTo(4 * 16_000 * 1.12);
  expect(cut).toEqual({ rx: 1e8, tx: 5000 });
  expect(scaleOf(shown(quiet, { peaks: false }), 8).cut).toEqual({});
  expect(scaleOf(shown(quiet, { bend: 1000 }), 8).cut).toEqual({});
  expect(scaleOf(shown(new Points()), 8).ends).toEqual([-280, 280]);
});

test("9 lost packets do not look like 25 574", () => {
  expect(lossOpacity(9)).toBeLessThan(0.26);
  expect(lossOpacity(1234)).toBeCloseTo(0.522, 2);
  expect(lossOpacity(25_574)).toBeGreaterThan(0.68);
  expect(lossOpacity(1e9)).toBe(0.85);
});
