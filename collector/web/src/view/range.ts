// Which time a chart shows: the last while, which moves on, or a range that stays.

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const NARROWEST = 100;
const WIDEST = 400 * DAY;

/** Lengths to choose from, milliseconds. */
export const LENGTHS: readonly number[] = [1, 5, 15, 60, 360]
  .map((minutes) => minutes * MINUTE)
  .concat([1, 7, 30, 90, 400].map((days) => days * DAY));

export class TimeRange {
  private constructor(
    /** Length of what moves on, milliseconds. */
    readonly length: number,
    /** What stays instead, milliseconds since 1970. */
    readonly fixed: readonly [from: number, to: number] | null,
  ) {}

  static last(length: number): TimeRange {
    return new TimeRange(length, null);
  }

  /** The range that an address asks for; without any, the last five minutes or as long as said. */
  static of(query: URLSearchParams, usual = 5 * MINUTE): TimeRange {
    const asked = LENGTHS.find((length) => String(length / 1000) === query.get("range"));
    const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
    return new TimeRange(asked ?? usual, from > 0 && to > from ? [from, to] : null);
  }

  /** The same as a part of an address. */
  query(): URLSearchParams {
    if (!this.fixed) return new URLSearchParams({ range: String(this.length / 1000) });
    const [from, to] = this.fixed;
    return new URLSearchParams({ from: from.toFixed(0), to: to.toFixed(0) });
  }

  get live(): boolean {
    return this.fixed === null;
  }

  limits(now: number): readonly [from: number, to: number] {
    return this.fixed ?? [now - this.length, now];
  }

  /** What it shows now, for good. */
  paused(now: number): TimeRange {
    return new TimeRange(this.length, this.limits(now));
  }

  resumed(): TimeRange {
    return new TimeRange(this.length, null);
  }

  /** A range that stays: not narrower than makes sense, and not beyond now. */
  between(from: number, to: number, now: number): TimeRange {
    const least = Math.max(0, NARROWEST - (to - from)) / 2;
    const end = Math.min(to + least, Math.max(now, from + NARROWEST));
    return new TimeRange(this.length, [from - least, end]);
  }

  /** So many times as wide, around its middle. The widest stays as it is. */
  zoomed(factor: number, now: number): TimeRange {
    const [from, to] = this.limits(now);
    if ((to - from) * factor > WIDEST) return this;
    const more = ((to - from) * (factor - 1)) / 2;
    return this.between(from - more, to + more, now);
  }

  /** Half its length earlier, -1, or later, 1. What reaches now is live. */
  moved(direction: -1 | 1, now: number): TimeRange {
    const [from, to] = this.limits(now);
    const step = (direction * (to - from)) / 2;
    return to + step >= now ? this.resumed() : this.between(from + step, to + step, now);
  }
}
