// The scale of rates: linear, or bent: linear up to a rate and logarithmic past it.

import type { Direction } from "../api";

/** Where a bent scale bends, in the unit shown: at a round rate below what is usual. */
export function bend(p95: Record<Direction, number>, unit: number): number {
  return 10 ** Math.floor(Math.log10(Math.max(p95.rx, p95.tx, 1000) * unit));
}

/** Steps within a decade, fewer where there are many decades. */
function stepsOfDecade(decades: number): number[] {
  if (decades < 2.2) return [1, 2, 5];
  return decades < 3.6 ? [1, 5] : [1];
}

/** Ticks of a bent scale: 0 and round rates on both sides, as many as there is room for. */
export function bentTicks(bend: number, low: number, high: number): number[] {
  const most = Math.max(-low, high);
  const steps = stepsOfDecade(Math.log10(most / bend));
  const ticks = [0];
  for (let base = bend; base <= most; base *= 10) ticks.push(...steps.map((step) => step * base));
  const mirrored = ticks
    .slice(1)
    .map((tick) => -tick)
    .reverse();
  return [...mirrored, ...ticks].filter((tick) => tick >= low && tick <= high);
}

/** Ends of the scale for the lowest and the highest value. `most`: what has to be in sight in
 *  either direction. */
export function limits(
  low: number | null,
  high: number | null,
  most: number,
  bent: boolean,
): [number, number] {
  const reached = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0), most, 1000);
  // Each direction has as much room as it needs, but is never pressed flat by the other.
  const room = (own: number) => Math.max(own, reached / 4) * (bent ? 1.5 : 1.08);
  return [-room(Math.abs(Math.min(low ?? 0, 0))), room(Math.max(high ?? 0, 0))];
}
