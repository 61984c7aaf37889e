// Points for tests.

import type { Counts, NicPoint, Point } from "../src/api";
import { Points } from "../src/points";

export const BEGIN = Date.UTC(2026, 10, 1);
/** Length of a sample, milliseconds. */
export const INTERVAL = 500;

const counts = (bytes: number, peak: number): Counts => ({
  bytes,
  packets: bytes / 1000,
  captured: bytes / 1000,
  peak_1ms_bytes: peak,
  peak_10ms_bytes: peak,
});

/** The point of an interval since the beginning. */
export function point(index: number, bytes = 1000, more: Partial<Point> = {}): Point {
  return {
    time: new Date(BEGIN + index * INTERVAL).toISOString(),
    interval_ns: INTERVAL * 1e6,
    rx: counts(bytes, bytes / 100),
    tx: counts(bytes / 2, bytes / 200),
    drops: 0,
    flags: [],
    ...more,
  };
}

export const sample = (index: number, bytes = 1000): NicPoint => ({
  ...point(index, bytes),
  nic: "eth0",
});

export const at = (index: number): number => BEGIN + index * INTERVAL;

export const series = (...indexes: number[]): Points =>
  new Points(indexes.map((index) => point(index)));
