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

/** Least distance of two labels, pixels. */
const APART = 18;

/** Ticks of a bent scale of some height: 0 and round rates on both sides, as many as there is room
 *  for. */
export function bentTicks(bend: number, low: number, high: number, height: number): number[] {
  const most = Math.max(-low, high);
  const position = (value: number) => Math.asinh(value / bend);
  const pixels = height / (position(high) - position(low));
  const kept: number[] = [];
  let last = position(0);
  const steps = stepsOfDecade(Math.log10(most / bend));
  for (let base = bend; base <= most; base *= 10) {
    for (const tick of steps.map((step) => step * base)) {
      if ((position(tick) - last) * pixels < APART) continue;
      last = position(tick);
      kept.push(tick);
    }
  }
  const mirrored = kept.map((tick) => -tick).reverse();
  return [...mirrored, 0, ...kept].filter((tick) => tick >= low && tick <= high);
}

/** How many times as high as the mean peaks may draw the scale: more would press the mean flat. */
const PEAKS_MOST = 4;

/** How far the scale has to reach in one direction. Peaks beyond that are cut off. */
export const reach = (mean: number, level: number, peak: number, bent: boolean): number => {
  const usual = Math.max(mean, level);
  return bent ? Math.max(usual, peak) : Math.max(usual, Math.min(peak, PEAKS_MOST * usual));
};

/** Least that a scale reaches, in the unit shown per second. */
const LEAST = 1000;

/** Ends of the scale. Each direction has as much room as it needs, but is never pressed flat by the
 *  other. */
export function limits(rx: number, tx: number, bent: boolean): [low: number, high: number] {
  const least = Math.max(rx, tx, LEAST) / 4;
  const air = bent ? 1.5 : 1.12;
  return [-Math.max(tx, least) * air, Math.max(rx, least) * air];
}
