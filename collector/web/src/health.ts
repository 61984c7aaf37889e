// What is wrong between this page, the collector and its store, and since when. Events go in with
// their time, milliseconds since 1970 by this browser's clock.

/** Clocks that differ by less are as good as equal: answers take their time too, milliseconds. */
const CLOCK_TOLERANCE = 5000;

export type Connection = "connecting" | "live" | "lost" | "signedOut";

export type Problem =
  /** The collector can't be reached. What is shown is of that time, by the collector's clock. */
  | { kind: "unreachable"; since: number; reason: string }
  /** The collector can't write or read its store. `observed`: it could before `since`; otherwise
   *  it may be away for longer. */
  | { kind: "storeAway"; since: number; observed: boolean; reason: string }
  /** How far the collector's clock is ahead of this browser's, milliseconds. */
  | { kind: "clock"; ahead: number };

interface StoreState {
  /** Why it is away, if it is. */
  reason: string | null;
  since: number;
  observed: boolean;
}

export class Health {
  connection: Connection = "connecting";
  /** How far the collector's clock is ahead of this browser's. */
  private ahead = 0;
  /** When the connection was lost, and why if that is known. */
  private lost: { since: number; reason: string } | null = null;
  private heardAt: number | null = null;
  private store: StoreState | null = null;

  /** The time by the collector's clock: it stands still while nothing is heard, so that what is
   *  shown does not grow old by itself. */
  now(at: number): number {
    const stands = this.connection !== "live" && this.heardAt !== null;
    return (stands ? (this.heardAt as number) : at) + this.ahead;
  }

  /** The time by the collector's clock, whether it is heard or not. */
  collectorTime(at: number): number {
    return at + this.ahead;
  }

  /** Whether anything was heard yet. */
  get heardOnce(): boolean {
    return this.heardAt !== null;
  }

  /** Whether anything was heard since a time. */
  heardSince(at: number): boolean {
    return this.heardAt !== null && this.heardAt >= at;
  }

  /** Whether all is as it should be, as far as it is known. */
  get state(): Connection | "liveOnly" {
    return this.connection === "live" && this.store?.reason ? "liveOnly" : this.connection;
  }

  /** Nobody listens for a while, or a connection is being made. */
  connecting(): void {
    if (this.connection === "live" || this.connection === "signedOut") {
      this.connection = "connecting";
    }
  }

  /** The collector told something, and what time it is. */
  heard(at: number, told: number): void {
    this.connection = "live";
    this.heardAt = at;
    this.ahead = told - at;
    this.lost = null;
  }

  /** The connection broke, or could not be made. */
  unreachable(at: number, reason = ""): void {
    if (this.connection === "signedOut") return;
    this.connection = "lost";
    this.lost = { since: this.lost?.since ?? at, reason: reason || this.lost?.reason || "" };
  }

  /** The collector wants a token. */
  refused(): void {
    this.connection = "signedOut";
    this.lost = null;
  }

  /** What the collector says of its store: why it is away, or nothing. */
  storeTold(at: number, reason: string | null): void {
    const before = this.store;
    const changed = before === null || (before.reason === null) !== (reason === null);
    this.store = changed ? { reason, since: at, observed: before !== null } : { ...before, reason };
  }

  /** The worst first. */
  problems(): Problem[] {
    if (this.connection === "signedOut") return [];
    const list: Problem[] = [];
    const { lost, store, ahead } = this;
    if (lost) {
      list.push({ kind: "unreachable", since: lost.since + ahead, reason: lost.reason });
    } else if (store?.reason) {
      const { since, observed, reason } = store;
      list.push({ kind: "storeAway", since: since + ahead, observed, reason });
    }
    if (this.heardOnce && Math.abs(ahead) > CLOCK_TOLERANCE) {
      list.push({ kind: "clock", ahead });
    }
    return list;
  }
}
