// What the collector answers about a NIC and a range, and the samples that arrive meanwhile.

import * as api from "../api";
import { end, Points } from "../points";

/** How many points a chart is asked for. */
export const POINTS = 1000;
/** Up to this range samples are added as they arrive, past it they would not be seen; from it on
 *  there are enough 5-minute averages for a percentile of them. */
export const LIVE_RANGE = 60 * 60_000;

export type Rates = Record<api.Direction, number>;

/** Rates of a percentile in bytes per second, if anything was measured. */
export function billed(percentile: api.Percentile | null): Rates | null {
  const { rx_bits_per_second: rx, tx_bits_per_second: tx } = percentile ?? {};
  return rx == null || tx == null ? null : { rx: rx / 8, tx: tx / 8 };
}

export class Stored {
  points = new Points();
  resolution = "raw";
  /** 95th percentile of 5-minute averages, where the range is long enough for them. */
  billed: Rates | null = null;
  /** The same of all NICs of the client. */
  billedTogether: Rates | null = null;
  happened: api.Happenings = { events: [], truncated: false };
  private request = new AbortController();

  /** Asks for everything about a range. Gives its mix, or nothing if something else was asked for
   *  meanwhile. `live`: what arrived but is not stored yet belongs to it. */
  async load(asked: api.Range, live: boolean): Promise<api.Mix | null> {
    this.stop();
    this.request = new AbortController();
    const { signal } = this.request;
    const long = asked.to - asked.from >= LIVE_RANGE;
    try {
      const [series, p95, together, happened, mix] = await Promise.all([
        api.series(asked, POINTS, "auto", signal),
        long ? api.percentile(asked, signal) : null,
        long ? api.percentileOfAll(asked, signal) : null,
        api.events(asked, signal),
        api.mix(asked, signal),
      ]);
      const recent = this.replace(series, asked, live);
      this.billed = billed(p95);
      this.billedTogether = billed(together);
      const losses = this.happened.events.filter(
        ({ kind, time }) => kind === "lost" && Date.parse(time) >= recent,
      );
      this.happened = { ...happened, events: [...happened.events, ...losses] };
      return mix;
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  /** Adds samples of a NIC, and lets go of what is older than anybody looks back. True if any was
   *  new. */
  add(samples: api.NicPoint[], nic: string, oldest: number): boolean {
    let added = false;
    for (const sample of samples) {
      if (sample.nic !== nic || !this.points.add(sample)) continue;
      added = true;
      if (sample.drops > 0) this.lost(sample);
    }
    if (this.points.before(oldest) > 0) {
      this.points = this.points.within(oldest, Number.POSITIVE_INFINITY);
    }
    return added;
  }

  /** Forgets everything: another NIC was chosen. */
  clear(): void {
    this.points = new Points();
    this.billed = null;
    this.billedTogether = null;
    this.happened = { events: [], truncated: false };
  }

  stop(): void {
    this.request.abort();
  }

  /** A loss is an event as soon as it is a point. */
  private lost({ time, interval_ns, drops }: api.NicPoint): void {
    const event: api.Happening = { time, interval_ns, kind: "lost", packets: drops };
    const { events, truncated } = this.happened;
    this.happened = { events: [...events, event], truncated };
  }

  /** Takes what is stored. Gives the time from which on there is only what arrived meanwhile. */
  private replace(
    { points, resolution }: api.Series,
    { nic, from }: api.Range,
    live: boolean,
  ): number {
    const before = this.points;
    this.points = new Points(points);
    this.resolution = resolution;
    if (!live) return Number.POSITIVE_INFINITY;
    const { last } = this.points;
    const stored = (last ? end(last) : from) - 1;
    const recent = before.within(stored, Number.POSITIVE_INFINITY);
    for (const point of recent.all) this.points.add({ ...point, nic });
    return stored;
  }
}
