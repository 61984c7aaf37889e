// Lines that are compared: what they are of, and how they can be told apart.

import { DIRECTIONS, type Direction, type Point } from "../api";
import { type Points, rate, sums } from "../points";
import type { Subject } from "../subject";

export interface Line {
  subject: Subject;
  name: string;
  points: Points;
  /** 95th percentile of 5-minute averages in bytes per second, where the range is long enough for them. */
  p95: Readonly<Record<Direction, number>> | null;
  /** Why it is not known. */
  failed: string;
}

/** Dashes in pixels: lines differ without their colours. */
export const DASHES: readonly (readonly number[])[] = [
  [],
  [10, 4],
  [3, 3],
  [12, 3, 3, 3],
  [6, 3],
  [18, 5],
  [2, 5],
  [9, 3, 2, 3, 2, 3],
];

/** The name of a line's colour. */
export const colorOf = (index: number): string => `line-${index + 1}`;

const COUNTS = ["bytes", "packets", "captured"] as const;
const PEAKS = ["peak_1ms_bytes", "peak_10ms_bytes"] as const;

function addTo(sum: Point, more: Point): void {
  sum.interval_ns += more.interval_ns;
  sum.drops += more.drops;
  for (const direction of DIRECTIONS) {
    const [to, from] = [sum[direction], more[direction]];
    for (const key of COUNTS) to[key] += from[key];
    for (const key of PEAKS) to[key] = Math.max(to[key], from[key]);
  }
}

/** Points in order of time added up to steps, milliseconds, since 1970. */
export function stepped(points: readonly Point[], step: number): Point[] {
  const steps: Point[] = [];
  let last = Number.NaN;
  for (const point of points) {
    const start = Math.floor(Date.parse(point.time) / step) * step;
    const sum = steps.at(-1);
    if (sum && start === last) {
      addTo(sum, point);
      continue;
    }
    last = start;
    const time = new Date(start).toISOString();
    steps.push({ ...point, time, rx: { ...point.rx }, tx: { ...point.tx } });
  }
  return steps;
}

type Column = (number | null)[];

/** Where a line changes: times, and its rates from then on. */
function changes(
  points: Points,
  gap: number,
  step: number,
): [number, number | null, number | null][] {
  const found: [number, number | null, number | null][] = [];
  points.all.forEach((point, index) => {
    const begin = points.starts[index] as number;
    found.push([begin, rate(point, "rx"), rate(point, "tx")]);
    const ends = begin + Math.max(step, point.interval_ns / 1e6);
    const next = points.starts[index + 1];
    if (next !== undefined && next - ends <= gap) return;
    // Up to its end it is drawn.
    found.push([ends, rate(point, "rx"), rate(point, "tx")], [ends + 0.01, null, null]);
  });
  return found;
}

/** All lines over the times at which any of them changes: received above 0, transmitted below. `step`:
 *  distance of points, milliseconds; 0: each is as long as it was measured. */
export function columns(
  lines: readonly Line[],
  step: number,
  part: number,
  unit: number,
): Column[] {
  const each = lines.map(({ points }) =>
    changes(points, step > 0 ? step / 2 : points.gap(part), step),
  );
  const times = [...new Set(each.flatMap((line) => line.map(([time]) => time)))];
  times.sort((a, b) => a - b);
  const all: Column[] = [times.map((time) => time / 1000)];
  for (const line of each) {
    const [rx, tx]: [Column, Column] = [[], []];
    let at = -1;
    for (const time of times) {
      while (at + 1 < line.length && (line[at + 1]?.[0] ?? 0) <= time) at += 1;
      const [, received, transmitted] = line[at] ?? [0, null, null];
      rx.push(received === null ? null : received * unit);
      tx.push(transmitted === null ? null : -transmitted * unit);
    }
    all.push(rx, tx);
  }
  return all;
}

/** The highest mean rate of any line. */
export const highest = (lines: readonly Line[], direction: Direction): number =>
  Math.max(0, ...lines.map(({ points }) => sums(points, direction).highest));

/** Places of labels that are apart at least so far, near to where they are wanted, in the order given. */
export function apart(
  wanted: readonly number[],
  distance: number,
  low: number,
  high: number,
): number[] {
  const order = wanted.map((_, index) => index).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0));
  const places = [...wanted];
  let least = low;
  for (const index of order) {
    places[index] = Math.max(places[index] ?? 0, least);
    least = (places[index] ?? 0) + distance;
  }
  let most = high;
  for (const index of order.reverse()) {
    places[index] = Math.min(places[index] ?? 0, most);
    most = (places[index] ?? 0) - distance;
  }
  return places;
}
