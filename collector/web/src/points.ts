// Points of a series: what they add up to, and where nothing was measured.

import type { Direction, NicPoint, Point } from "./api";

export const start = (point: Point): number => Date.parse(point.time);
export const end = (point: Point): number => start(point) + point.interval_ns / 1e6;
/** Mean rate, bytes per second. */
export const rate = (point: Point, direction: Direction): number =>
  (point[direction].bytes / point.interval_ns) * 1e9;
/** The most within any 1 ms, as a rate. */
export const peak = (point: Point, direction: Direction): number =>
  point[direction].peak_1ms_bytes * 1000;

/** Points with their times read once. */
export class Points {
  readonly starts: number[] = [];
  constructor(readonly all: Point[] = []) {
    for (const point of all) this.starts.push(start(point));
  }

  get length(): number {
    return this.all.length;
  }
  get last(): Point | undefined {
    return this.all.at(-1);
  }

  /** Adds a sample that has just arrived, unless it is there. True if it was not. */
  add(sample: NicPoint): boolean {
    const at = start(sample);
    const place = this.before(at + 1);
    if (this.starts[place - 1] === at) return false;
    const previous = this.all[place - 1];
    // It is part of what was put together.
    if (previous && end(previous) > at + 1) return false;
    this.all.splice(place, 0, sample);
    this.starts.splice(place, 0, at);
    return true;
  }

  /** How many start before a time. */
  before(time: number): number {
    let [low, high] = [0, this.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] as number) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Those that have a part in a range. */
  within(from: number, to: number): Points {
    let first = this.before(from);
    const earlier = this.all[first - 1];
    if (earlier && end(earlier) > from) first -= 1;
    const seen = new Points();
    seen.all.push(...this.all.slice(first, this.before(to)));
    seen.starts.push(...this.starts.slice(first, this.before(to)));
    return seen;
  }

  /** The one that covers a time. `step`: how long each is at least, milliseconds. */
  at(time: number, step = 0): number | null {
    const index = this.before(time + 0.001) - 1;
    const point = this.all[index];
    return point && time < Math.max(end(point), start(point) + step) ? index : null;
  }

  /** Length of most points, nanoseconds. */
  get typical(): number {
    return this.all[this.length >> 1]?.interval_ns ?? 0;
  }

  /** From which distance on two points have a gap between them: those that were put together
   *  start up to a part of the range apart. */
  gap(part: number): number {
    const lengths = this.all.map((point) => point.interval_ns / 1e6).sort((a, b) => a - b);
    const typical = lengths[lengths.length >> 1] ?? 500;
    return typical < part ? part : typical / 2;
  }
}

export interface Sums {
  bytes: number;
  packets: number;
  peak: number;
  highest: number;
}

/** What points add up to. */
export function sums(points: Points, direction: Direction): Sums {
  const sum = { bytes: 0, packets: 0, peak: 0, highest: 0 };
  for (const point of points.all) {
    sum.bytes += point[direction].bytes;
    sum.packets += point[direction].packets;
    sum.peak = Math.max(sum.peak, peak(point, direction));
    sum.highest = Math.max(sum.highest, rate(point, direction));
  }
  return sum;
}

/** The 95th percentile of rates, by the nearest rank. */
export function percentile(points: Point[], direction: Direction): number {
  const rates = points.map((point) => rate(point, direction)).sort((a, b) => a - b);
  return rates[Math.max(0, Math.ceil(rates.length * 0.95) - 1)] ?? 0;
}
