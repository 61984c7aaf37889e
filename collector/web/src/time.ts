// Moments in a time zone of the IANA database.

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
/** The zone of this browser. */
export const ownZone = (): string => own;

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
export function clock(time: number, step: number, zone = ownZone()): string {
  const { hour, minute, second } = wall(time, zone);
  const minutes = `${two(hour)}:${two(minute)}`;
  if (step >= MINUTE) return minutes;
  const seconds = `${minutes}:${two(second)}`;
  if (step >= 1000) return seconds;
  return `${seconds}.${two(Math.floor(time) - Math.floor(time / 1000) * 1000, 3)}`;
}

/** A moment in full. */
export function moment(time: number, step = 1000, zone = ownZone()): string {
  const { year, month, day } = wall(time, zone);
  return `${year}-${two(month)}-${two(day)} ${clock(time, step, zone)}`;
}

/** A day, without its year. */
export const day = (time: number, locale: string, zone = ownZone()): string =>
  new Date(time).toLocaleDateString(locale, { month: "short", day: "numeric", timeZone: zone });
