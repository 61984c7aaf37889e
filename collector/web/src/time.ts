// Moments in a time zone of the IANA database.

import { remember, remembered } from "./storage";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;

/** What a clock and a calendar on the wall show. Months count from 1. */
export interface Wall {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const own = new Intl.DateTimeFormat().resolvedOptions().timeZone;
const UTC = "UTC";
const KEY = "zone";
let utc = remembered(KEY) === UTC;

/** The zone that times are shown in: UTC, or that of this browser. */
export const shownZone = (): string => (utc ? UTC : own);
export const inUtc = (): boolean => utc;
export function switchZone(): void {
  utc = !utc;
  remember(KEY, utc ? UTC : "");
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  return format;
}

/** What the wall of a zone shows at a time, milliseconds since 1970. */
export function wall(time: number, zone: string): Wall {
  const shown: Wall = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of formatOf(zone).formatToParts(time)) {
    if (type in shown) shown[type as keyof Wall] = Number(value);
  }
  return shown;
}

const asUtc = ({ year, month, day, hour, minute, second }: Wall): number =>
  Date.UTC(year, month - 1, day, hour, minute, second);

/** How far a zone is ahead of UTC at a time, milliseconds. */
export const aheadOfUtc = (time: number, zone: string): number =>
  asUtc(wall(time, zone)) - Math.floor(time / 1000) * 1000;

/** When the wall of a zone shows this. Where clocks were set back it shows it twice: then the first
 *  time. Where they were set forward it never does: then as long after the jump as it would be. */
export function timeOf(shown: Wall, zone: string): number {
  const guess = asUtc(shown);
  const [before, after] = [aheadOfUtc(guess - DAY, zone), aheadOfUtc(guess + DAY, zone)];
  for (const ahead of [before, after]) {
    if (aheadOfUtc(guess - ahead, zone) === ahead) return guess - ahead;
  }
  return guess - before;
}

const two = (number: number, digits = 2): string => String(number).padStart(digits, "0");

/** A time of the day, as fine as a step of so many milliseconds needs. */
export function clock(time: number, step: number, zone = shownZone()): string {
  const { hour, minute, second } = wall(time, zone);
  const minutes = `${two(hour)}:${two(minute)}`;
  if (step >= MINUTE) return minutes;
  const seconds = `${minutes}:${two(second)}`;
  if (step >= 1000) return seconds;
  return `${seconds}.${two(Math.floor(time) - Math.floor(time / 1000) * 1000, 3)}`;
}

/** A moment in full. */
export function moment(time: number, step = 1000, zone = shownZone()): string {
  const { year, month, day } = wall(time, zone);
  return `${year}-${two(month)}-${two(day)} ${clock(time, step, zone)}`;
}

/** How far a zone is ahead of UTC at a time: "UTC", "UTC+01:00", "UTC−03:30". */
export function offsetName(time: number, zone = shownZone()): string {
  const minutes = Math.round(aheadOfUtc(time, zone) / MINUTE);
  if (minutes === 0) return UTC;
  const size = Math.abs(minutes);
  return `${UTC}${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** What a zone is called from one time to another: "UTC", "UTC+01:00 (Europe/Berlin)". */
export function zoneName(from: number, to: number, zone = shownZone()): string {
  const names = [...new Set([offsetName(from, zone), offsetName(to, zone)])].join(" – ");
  return names === zone ? zone : `${names} (${zone})`;
}

/** A range in full, with its zone; what both ends share is said once. */
export function fromTo(from: number, to: number, zone = shownZone()): string {
  const step = to - from < 10_000 ? 1 : 1000;
  const [begin, end] = [moment(from, step, zone), moment(to, step, zone)];
  const [before, after] = [offsetName(from, zone), offsetName(to, zone)];
  if (before !== after) return `${begin} ${before} – ${end} ${after}`;
  const sameDay = begin.slice(0, 10) === end.slice(0, 10);
  return `${begin} – ${sameDay ? end.slice(11) : end} ${after}`;
}

/** A moment as a field for dates takes it, to the second. */
export const toField = (time: number, zone = shownZone()): string =>
  moment(time, 1000, zone).replace(" ", "T");

/** The time that a field for dates holds. Nothing if it holds none. */
export function ofField(text: string, zone = shownZone()): number | null {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?$/.exec(text);
  if (!found) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found
    .slice(1)
    .map((digits) => Number(digits ?? 0));
  return timeOf({ year, month, day, hour, minute, second }, zone);
}
