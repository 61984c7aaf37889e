import { expect, test } from "vitest";
import { bend, bentTicks, limits } from "../src/chart/scale";
import { columns, type Shown, unmeasured } from "../src/chart/shown";
import { Points } from "../src/points";
import { at, INTERVAL, series } from "./samples";

const shown = (points: Points, more: Partial<Shown> = {}): Shown => ({
  points,
  from: at(0),
  to: at(10),
  gap: INTERVAL / 2,
  peaks: true,
  bend: 0,
  p95: { rx: 0, tx: 0 },
  events: [],
  speed: 0,
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
});

test("a bent scale has 0 and round rates on both sides, within its ends", () => {
  expect(bentTicks(1000, -2000, 6000)).toEqual([-2000, -1000, 0, 1000, 2000, 5000]);
  expect(bentTicks(1, -10, 1e6)).toEqual([-10, -1, 0, 1, 10, 100, 1000, 10_000, 100_000, 1e6]);
});

test("a scale bends at a round rate below what is usual", () => {
  expect(bend({ rx: 5_000_000, tx: 100 }, 8)).toBe(10_000_000);
  expect(bend({ rx: 0, tx: 0 }, 1)).toBe(1000);
});

test("neither direction is pressed flat by the other", () => {
  expect(limits(-10_000, 1_000_000, 0, false)).toEqual([-270_000, 1_080_000]);
  expect(limits(null, null, 0, false)).toEqual([-270, 270]);
  expect(limits(0, 1000, 4000, true)).toEqual([-1500, 1500]);
});
