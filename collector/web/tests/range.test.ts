import { expect, test } from "vitest";
import { LENGTHS, TimeRange } from "../src/view/range";

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 26);
const live = TimeRange.last(10 * MINUTE);

test("what is live moves on, what is paused stays", () => {
  expect(live.limits(NOW)).toEqual([NOW - 10 * MINUTE, NOW]);
  const paused = live.paused(NOW);
  expect(paused.limits(NOW + MINUTE)).toEqual([NOW - 10 * MINUTE, NOW]);
  expect(paused.live).toBe(false);
  expect(paused.resumed().limits(NOW + MINUTE)).toEqual([NOW - 9 * MINUTE, NOW + MINUTE]);
});

test("moving goes by half the length, and is live again when it reaches now", () => {
  const earlier = live.moved(-1, NOW);
  expect(earlier.limits(NOW)).toEqual([NOW - 15 * MINUTE, NOW - 5 * MINUTE]);
  expect(earlier.moved(-1, NOW).limits(NOW)).toEqual([NOW - 20 * MINUTE, NOW - 10 * MINUTE]);
  expect(earlier.moved(1, NOW).live).toBe(true);
});

test("zooming keeps the middle, and never goes past now", () => {
  const old = live.between(NOW - 40 * MINUTE, NOW - 20 * MINUTE, NOW);
  expect(old.zoomed(0.5, NOW).limits(NOW)).toEqual([NOW - 35 * MINUTE, NOW - 25 * MINUTE]);
  expect(live.zoomed(2, NOW).limits(NOW)).toEqual([NOW - 15 * MINUTE, NOW]);
});

test("a range is neither narrower than 100 ms nor wider than 400 days", () => {
  const narrow = live.between(NOW - 5010, NOW - 5000, NOW);
  expect(narrow.limits(NOW)).toEqual([NOW - 5055, NOW - 4955]);
  const wide = TimeRange.last(LENGTHS.at(-1) as number);
  expect(wide.zoomed(2, NOW)).toBe(wide);
});
