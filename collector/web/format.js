// Numbers as people read them: three digits, SI prefixes. Each gives [value, unit].

const PREFIXES = ["", "k", "M", "G", "T", "P"];

function scaled(number, unit) {
  let step = 0;
  // 999.5 would be written with four digits.
  while (number >= 999.5 && step < PREFIXES.length - 1) {
    number /= 1000;
    step += 1;
  }
  const decimals = step === 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return [number.toFixed(decimals), PREFIXES[step] + unit];
}

export const rate = (bytesPerSecond) => scaled(bytesPerSecond * 8, "bit/s");

export const speed = (bitsPerSecond) => {
  const [value, unit] = scaled(bitsPerSecond, "bit/s");
  return `${Number(value)} ${unit}`;
};

export const count = (number) => scaled(number, "");

export const size = (bytes) => (bytes === null ? ["–", ""] : [bytes.toFixed(0), "B"]);

export const NOTHING = ["–", ""];

/// A length of time, for a mark: "12 s", "3 min", "2 h".
export function span(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/// A clock's offset, with its sign: "+340 ms", "−2.1 s".
export function offset(milliseconds) {
  const sign = milliseconds < 0 ? "−" : "+";
  const size = Math.abs(milliseconds);
  if (size < 1000) return `${sign}${size.toFixed(0)} ms`;
  return size < 60_000 ? `${sign}${(size / 1000).toFixed(1)} s` : sign + span(size);
}
