// The last hour of all clients, minute by minute, as the collector keeps it.

import * as api from "../api";
import { DIRECTIONS, type Direction, type Minutes } from "../api";

/** Minutes that are kept: an hour, and the one that is not over. */
export const MINUTES = 61;
export const MINUTE = 60_000;
/** Width of a minute and of the hour where it is drawn small, pixels. */
export const BAR = 2;
export const WIDTH = MINUTES * BAR;
/** How long after the turn of a minute it is asked for, milliseconds: what agents deliver is there
 *  then, and not all pages ask at the same moment. */
const SOON = 2000;
const SPREAD = 8000;
const RETRY = 10_000;

/** Rates of each minute, bytes per second; `null`: nothing was measured. */
export type Sums = Record<Direction, (number | null)[]>;

/** The minute of a time, counted since 1970. */
const minuteOf = (time: number): number => Math.floor(time / MINUTE);

function mean(minutes: Minutes): number {
  let sum = 0;
  for (const direction of DIRECTIONS) for (const rate of minutes[direction]) sum += rate ?? 0;
  return sum / MINUTES;
}

export class History {
  /** Counts up with each answer. */
  version = 0;
  private first = 0;
  private readonly clients = new Map<string, Minutes>();
  private readonly means = new Map<string, number>();

  take(told: api.Overview): void {
    this.version += 1;
    this.first = minuteOf(Date.parse(told.from));
    this.clients.clear();
    this.means.clear();
    for (const minutes of told.clients) {
      this.clients.set(minutes.client, minutes);
      this.means.set(minutes.client, mean(minutes));
    }
  }

  of(client: string): Minutes | undefined {
    return this.clients.get(client);
  }

  /** Where a time lies among the minutes that were told; may be before or after them. */
  place(time: number): number {
    return minuteOf(time) - this.first;
  }

  /** Mean rate of a direction in the minute of a time, if it is known. */
  rate(client: string, direction: Direction, time: number): number | null {
    return this.clients.get(client)?.[direction][this.place(time)] ?? null;
  }

  /** Mean rate of both directions over the hour. */
  mean(client: string): number {
    return this.means.get(client) ?? 0;
  }

  /** What some clients carried and lost together. */
  together(name: string, clients: readonly string[]): Minutes {
    const lost = new Map<number, number>();
    for (const client of clients) {
      for (const [minute, packets] of this.clients.get(client)?.lost ?? []) {
        lost.set(minute, (lost.get(minute) ?? 0) + packets);
      }
    }
    return { client: name, ...this.sums(clients), lost: [...lost] };
  }

  /** What some clients carried together in each minute. */
  sums(clients: Iterable<string>): Sums {
    const empty = () => new Array<number | null>(MINUTES).fill(null);
    const sums: Sums = { rx: empty(), tx: empty() };
    for (const client of clients) {
      const minutes = this.clients.get(client);
      if (!minutes) continue;
      for (const direction of DIRECTIONS) {
        const sum = sums[direction];
        minutes[direction].forEach((rate, index) => {
          if (rate !== null) sum[index] = (sum[index] ?? 0) + rate;
        });
      }
    }
    return sums;
  }
}

/** Asks for the last hour, and again after each minute. `due`: whether it is worth asking now. */
export function follow(
  history: History,
  due: () => boolean,
  now: () => number,
  changed: () => void,
): () => void {
  const stop = new AbortController();
  const spread = SOON + Math.random() * SPREAD;
  let timer: ReturnType<typeof setTimeout>;
  const ask = async () => {
    let wait = RETRY;
    try {
      if (due()) {
        history.take(await api.overview(stop.signal));
        changed();
        wait = MINUTE - (now() % MINUTE) + spread;
      }
    } catch {
      // What is wrong is said above the page.
    }
    if (!stop.signal.aborted) timer = setTimeout(() => void ask(), wait);
  };
  void ask();
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}
