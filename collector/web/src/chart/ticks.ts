// Ticks of the time axis: round times on the wall of a zone, also on days when clocks change.

import { aheadOfUtc, clock, offsetName, timeOf, wall } from "../time";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** Steps up to half a day, milliseconds. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
];
const DAYS = [1, 2, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60];

/** A label has one line or two. */
export interface Tick {
  time: number;
  label: string;
}

/** Room that a label takes, pixels: as wide as it is, and some air. */
function room(step: number): number {
  if (step < SECOND) return 104;
  return step < MINUTE ? 84 : 76;
}

const modulo = (number: number, by: number): number => ((number % by) + by) % by;

/** The time nearest to this one that is round on the wall. */
function rounded(time: number, step: number, zone: string): number {
  const over = modulo(time + aheadOfUtc(time, zone), step);
  return over < step / 2 ? time - over : time + step - over;
}

function regular(from: number, to: number, step: number, zone: string): number[] {
  const times: number[] = [];
  for (let time = rounded(from, step, zone); time <= to; ) {
    if (time >= from) times.push(time);
    const next = rounded(time + step, step, zone);
    time = next > time ? next : time + step;
  }
  return times;
}

function days(from: number, to: number, count: number, zone: string): number[] {
  const times: number[] = [];
  // Weeks begin on Mondays; the first one was on the fifth day of 1970.
  const shift = count % 7 === 0 ? 4 : 0;
  const today = Math.floor((from + aheadOfUtc(from, zone)) / DAY);
  for (let day = today - modulo(today - shift, count); ; day += count) {
    const time = timeOf(wall(day * DAY, "UTC"), zone);
    if (time > to) return times;
    if (time >= from) times.push(time);
  }
}

function months(from: number, to: number, count: number, zone: string): number[] {
  const times: number[] = [];
  const { year, month } = wall(from, zone);
  const now = 12 * year + month - 1;
  for (let at = now - modulo(now, count); ; at += count) {
    const first = { year: Math.floor(at / 12), month: modulo(at, 12) + 1, day: 1 };
    const time = timeOf({ ...first, hour: 0, minute: 0, second: 0 }, zone);
    if (time > to) return times;
    if (time >= from) times.push(time);
  }
}

/** Labels. Their second line says what is new: at first `head`, then what changed of `offset` or of
 *  `head`. */
function labelled(
  times: number[],
  name: (time: number) => string,
  head: (time: number) => string,
  offset: (time: number) => string = () => "",
): Tick[] {
  return times.map((time, index) => {
    const before = times[index - 1];
    if (before !== undefined && offset(before) !== offset(time)) {
      return { time, label: `${name(time)}\n${offset(time)}` };
    }
    const fresh = before === undefined || head(before) !== head(time);
    return { time, label: fresh ? `${name(time)}\n${head(time)}` : name(time) };
  });
}

/** Ticks for a range that is `width` pixels wide. */
export function ticks(
  from: number,
  to: number,
  width: number,
  zone: string,
  locale: string,
): Tick[] {
  const fits = (step: number) => ((to - from) / step) * room(step) <= width;
  const text = (options: Intl.DateTimeFormatOptions) => {
    const format = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
    return (time: number) => format.format(time);
  };
  const year = text({ year: "numeric" });
  const step = STEPS.find(fits);
  if (step !== undefined) {
    const day = text({ year: "numeric", month: "short", day: "numeric" });
    const times = regular(from, to, step, zone);
    // Where clocks change, hours that are there twice differ by this.
    const offset = (time: number) => offsetName(time, zone);
    return labelled(times, (time) => clock(time, step, zone), day, offset);
  }
  const count = DAYS.find((many) => fits(many * DAY));
  if (count !== undefined) {
    return labelled(days(from, to, count, zone), text({ month: "short", day: "numeric" }), year);
  }
  const many = MONTHS.find((months) => fits((months * YEAR) / 12)) ?? MONTHS.at(-1) ?? 1;
  return labelled(months(from, to, many, zone), text({ month: "short" }), year);
}
