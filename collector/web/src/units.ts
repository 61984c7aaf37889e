// Numbers as people read them: three digits and SI prefixes.

const PREFIXES = ["", "k", "M", "G", "T", "P"];

function scaled(number: number, unit: string): string {
  let step = 0;
  let size = Math.abs(number);
  // 999.5 would be written with four digits.
  while (size >= 999.5 && step < PREFIXES.length - 1) {
    size /= 1000;
    step += 1;
  }
  const decimals = step === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${size.toFixed(decimals)} ${PREFIXES[step]}${unit}`;
}

/** A rate of bytes per second, in bit/s. The sign is the direction's, so it is not shown. */
export const rate = (bytesPerSecond: number): string => scaled(bytesPerSecond * 8, "bit/s");
export const bytes = (number: number): string => scaled(number, "B");
export const count = (number: number): string => scaled(number, "").trim();
export const exact = (number: number): string => number.toLocaleString("en-US").replace(/,/g, " ");

/** A length of time in milliseconds: "500 ms", "12 s", "3 min", "2 h", "5 d". */
export function span(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  for (const [unit, length, most] of [["s", 1e3, 120], ["min", 6e4, 120], ["h", 36e5, 48]] as const) {
    if (milliseconds < most * length) return `${Number((milliseconds / length).toFixed(1))} ${unit}`;
  }
  return `${Math.round(milliseconds / 864e5)} d`;
}

/** A clock's offset with its sign. */
export const offset = (milliseconds: number): string =>
  (milliseconds < 0 ? "−" : "+") + span(Math.abs(milliseconds));
