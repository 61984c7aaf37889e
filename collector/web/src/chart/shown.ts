// What a chart shows, and the same as uPlot wants it.

import { DIRECTIONS, type Direction, type Happening } from "../api";
import { end, type Points, peak, rate, sums } from "../points";
import { limits, reach } from "./scale";

export interface Shown {
  points: Points;
  from: number;
  to: number;
  /** From which distance on two points have a gap between them, milliseconds. */
  gap: number;
  /** Of what began later than this, more may come: it waits to be stored, or is sent again. */
  whole: number;
  peaks: boolean;
  /** Up to this rate, in the unit shown, the scale is linear, past it logarithmic; 0: linear
   *  throughout. */
  bend: number;
  /** Bytes per second. */
  p95: Record<Direction, number>;
  events: Happening[];
  /** The link's speed, bits per second; 0: unknown. */
  speed: number;
  /** Distance of the starts of points, milliseconds, where it is known: a point that was measured for
   *  less is so in part. 0: points are as long as they were measured. */
  step: number;
}

/** What is at the edges of steps is no lack: a sample counts where it starts. */
const LEAST_LACK = 0.02;

type Column = (number | null)[];
export type Columns = [times: number[], rx: Column, rxPeak: Column, tx: Column, txPeak: Column];

/** Points as steps, broken where nothing was measured: received above 0, transmitted below.
 *  `unit`: how many of the unit shown are one byte per second. */
export function columns({ points, gap, peaks }: Shown, unit: number): Columns {
  const [times, rx, rxPeak, tx, txPeak]: Columns = [[], [], [], [], []];
  const push = (time: number, values: Column) => {
    times.push(time / 1000);
    [rx, rxPeak, tx, txPeak].forEach((column, index) => {
      column.push(values[index] ?? null);
    });
  };
  points.all.forEach((point, index) => {
    const above = [rate(point, "rx") * unit, peaks ? peak(point, "rx") * unit : null];
    const below = [-rate(point, "tx") * unit, peaks ? -peak(point, "tx") * unit : null];
    const values = [...above, ...below];
    push(points.starts[index] as number, values);
    const next = points.starts[index + 1];
    if (next === undefined || next - end(point) > gap) {
      push(end(point), values);
      push(end(point) + 0.01, [null, null, null, null]);
    }
  });
  return [times, rx, rxPeak, tx, txPeak];
}

/** How long a sample may be under way, milliseconds. */
const COMES = 5000;

/** The time until which a range has all of its points, if it ends now or is over. */
export const wholeUntil = (to: number, live: boolean): number => (live ? to - COMES : to);

/** Spans of a range that no point covers. */
export function unmeasured({ points, gap, from, to, whole }: Shown): [from: number, to: number][] {
  const spans: [number, number][] = [];
  let covered = from;
  points.all.forEach((point, index) => {
    const begins = points.starts[index] as number;
    if (begins - covered > gap && covered <= whole) spans.push([covered, begins]);
    covered = end(point);
  });
  // What is not here yet is no gap.
  if (points.length === 0 || to - covered > Math.max(COMES, 5 * gap)) spans.push([covered, to]);
  return spans;
}

/** Points that were measured for a part of their step only, and for how much of it was not: 0 to 1. */
export function partly({ points, step, to }: Shown): [from: number, to: number, lacks: number][] {
  if (step === 0) return [];
  const found: [number, number, number][] = [];
  points.all.forEach((point, index) => {
    const begins = points.starts[index] as number;
    // The newest step is not over.
    const ends = Math.min(begins + step, to);
    const lacks = 1 - point.interval_ns / 1e6 / (ends - begins);
    if (lacks > LEAST_LACK) found.push([begins, ends, Math.min(1, lacks)]);
  });
  return found;
}

/** Peaks that are higher than the scale reaches, bytes per second. */
export type CutPeaks = Partial<Record<Direction, number>>;

/** Ends of the scale in the unit shown, and the peaks that it cuts off. */
export function scaleOf(shown: Shown, unit: number): { ends: [number, number]; cut: CutPeaks } {
  const bent = shown.bend > 0;
  const cut: CutPeaks = {};
  const reached = { rx: 0, tx: 0 };
  for (const direction of DIRECTIONS) {
    const { highest, peak } = sums(shown.points, direction);
    const own = shown.peaks ? peak : 0;
    reached[direction] = reach(highest, shown.p95[direction], own, bent);
    if (own > reached[direction]) cut[direction] = own;
  }
  return { ends: limits(reached.rx * unit, reached.tx * unit, bent), cut };
}

/** How much of a loss shows through, 0 to 1: more the more packets were lost, so that 9 and 25 574
 *  differ in sight. */
export const lossOpacity = (packets: number): number =>
  Math.min(0.85, 0.12 + 0.13 * Math.log10(Math.max(1, packets)));
