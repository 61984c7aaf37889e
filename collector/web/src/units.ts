// Numbers as people read them: three digits and SI prefixes.

import { remember, remembered } from "./storage";

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** How many decimals make three digits. */
function decimals(size: number): number {
  if (size >= 99.95) return 0;
  return size >= 9.995 ? 1 : 2;
}

function scaled(number: number, unit: string): string {
  let step = 0;
  let size = Math.abs(number);
  // 999.5 would be written with four digits.
  while (size >= 999.5 && step < PREFIXES.length - 1) {
    size /= 1000;
    step += 1;
  }
  return `${size.toFixed(step === 0 ? 0 : decimals(size))} ${PREFIXES[step]}${unit}`;
}

let inBytes = remembered("unit") === "B/s";
export const unit = (): string => (inBytes ? "B/s" : "bit/s");
export function switchUnit(): void {
  inBytes = !inBytes;
  remember("unit", unit());
}

/** How many of the unit's are one byte per second. */
export const perByte = (): number => (inBytes ? 1 : 8);
/** A rate in the unit. The sign is the direction's, so it is not shown. */
export const inUnit = (rate: number): string => scaled(rate, unit());
/** A rate of bytes per second. */
export const rate = (bytesPerSecond: number): string => inUnit(bytesPerSecond * perByte());
/** A link's speed, which is in bit/s everywhere. */
export const speed = (bitsPerSecond: number): string => scaled(bitsPerSecond, "bit/s");
export const bytes = (number: number): string => scaled(number, "B");
export const count = (number: number): string => scaled(number, "").trim();
export const exact = (number: number): string => number.toLocaleString("en-US").replace(/,/g, " ");
/** A share of the whole. */
export const percent = (share: number): string => {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent.toFixed(percent < 9.95 ? 1 : 0)} %`;
};
export const share = (part: number, whole: number): string =>
  whole === 0 ? "–" : percent(part / whole);

/** A length of time in milliseconds: "500 ms", "12 s", "3 min", "2 h", "5 d". */
export function span(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  for (const [name, length, most] of [
    ["s", 1e3, 60],
    ["min", 6e4, 120],
    ["h", 36e5, 24],
  ] as const) {
    if (milliseconds < most * length)
      return `${Number((milliseconds / length).toFixed(1))} ${name}`;
  }
  return `${Number((milliseconds / 864e5).toFixed(milliseconds < 864e6 ? 1 : 0))} d`;
}

/** A clock's offset with its sign. */
export const offset = (milliseconds: number): string =>
  (milliseconds < 0 ? "−" : "+") + span(Math.abs(milliseconds));

/** The space in a number, and that before its unit. */
const IN_FIGURE =
  /(\d) (?=(?:\d{3}|%|[kMGTP]i?|[kMGTP]?i?(?:bit|bit\/s|B|B\/s)|[mµn]?s|min|h|d|毫?秒|分钟|小时|天)(?![\w/]))/g;

/** A text in which no line ends within a figure. */
export const unparted = (text: string): string => text.replace(IN_FIGURE, "$1\u00a0");
