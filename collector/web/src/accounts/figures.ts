// An account's figures in words.

import { isText, t } from "../i18n";
import { moment } from "../time";
import * as units from "../units";
import type { Commit, Statement } from "./api";

const UNITS = { GB: 1e9, GiB: 2 ** 30 };

/** A volume in the account's unit, with three digits behind the point. */
export function volume(bytes: number, unit: Statement["terms"]["unit"]): string {
  const [whole = "", rest = ""] = (bytes / UNITS[unit]).toFixed(3).split(".");
  return `${units.exact(Number(whole))}.${rest} ${unit}`;
}

const percent = (number: number): string => `${number.toFixed(2)} %`;
const signed = (number: number): string => (number < 0 ? "−" : "+") + percent(Math.abs(number));

/** A figure: its id, its name, what it says, and how it is meant. */
export interface Figure {
  id: string;
  name: string;
  value: string;
  kind: "" | "good" | "warn" | "bad";
}

/** How full a quota is: 80 % is told, over it is bad. */
export function fullness(used: number | null): Figure["kind"] {
  if (used === null) return "";
  if (used >= 100) return "bad";
  return used >= 80 ? "warn" : "good";
}

function atMost({ used_bytes, used_max_bytes, terms, metered }: Statement): Figure[] {
  if (used_max_bytes === used_bytes) return [];
  const missing = units.span(metered.missing_ns / 1e6);
  let value = t("accountNothing");
  if (used_max_bytes !== null) {
    value = t("accountBound", volume(used_max_bytes, terms.unit), missing);
  } else if (metered.measured_intervals > 0) {
    value = t("accountNoBound", missing);
  }
  return [{ id: "most", name: t("accountMost"), value, kind: "warn" }];
}

/** Less than a fifth is left. */
const fewLeft = ({ bursts_left, allowed }: Commit): Figure["kind"] =>
  bursts_left * 5 < allowed ? "warn" : "good";

function percentile({ metered }: Statement): Figure[] {
  const { p95, p95_outlook: outlook, commit } = metered;
  const { bits_per_second, min_bits_per_second, max_bits_per_second } = p95;
  const name = t("p95");
  if (bits_per_second === null) return [{ id: "p95", name, value: "–", kind: "" }];
  const exact = min_bits_per_second === bits_per_second && max_bits_per_second === bits_per_second;
  const bound = (bits: number | null): string => (bits === null ? "?" : units.speed(bits));
  const range = t("accountRange", bound(min_bits_per_second), bound(max_bits_per_second));
  const value = units.speed(bits_per_second) + (exact ? "" : ` (${range})`);
  const figures: Figure[] = [{ id: "p95", name, value, kind: "" }];
  if (outlook) {
    const told = `${units.speed(outlook.bits_per_second)} (${t(outlook.method)})`;
    const over = commit !== null && outlook.bits_per_second > commit.bits_per_second;
    const kind = over ? "bad" : "";
    figures.push({ id: "p95-projected", name: t("accountP95End"), value: told, kind });
  }
  if (commit) {
    const { bursts_left, allowed, exceeded } = commit;
    const over = bursts_left < 0;
    figures.push({
      id: "bursts",
      name: t("accountBursts", units.speed(commit.bits_per_second)),
      value: over ? t("accountOver", exceeded, allowed) : t("accountLeftOf", bursts_left, allowed),
      kind: over ? "bad" : fewLeft(commit),
    });
  }
  return figures;
}

/** All figures of a statement, the most important first. */
export function figures(it: Statement): Figure[] {
  const { unit, quota_bytes } = it.terms;
  const of =
    quota_bytes === null || it.used_percent === null
      ? ""
      : ` ${t("accountOf", volume(quota_bytes, unit))}, ${percent(it.used_percent)}`;
  const kind = fullness(it.used_percent);
  const found: Figure[] = [
    { id: "used", name: t("accountUsed"), value: volume(it.used_bytes, unit) + of, kind },
    ...atMost(it),
  ];
  if (it.left_bytes !== null) {
    const size = volume(Math.abs(it.left_bytes), unit);
    const value = it.left_bytes < 0 ? t("accountOverBy", size) : size;
    found.push({ id: "left", name: t("accountLeft"), value, kind });
  }
  const outlook = it.metered.outlook;
  if (it.projected_bytes !== null && outlook) {
    const part = it.projected_percent === null ? "" : `, ${percent(it.projected_percent)}`;
    const method = t(outlook.method);
    const value = `${volume(it.projected_bytes, unit)}${part} (${method})`;
    found.push({
      id: "projected",
      name: t("accountEnd"),
      value,
      kind: fullness(it.projected_percent),
    });
  }
  found.push(...percentile(it));
  if (it.opening_bytes > 0) {
    const value = volume(it.opening_bytes, unit);
    found.push({ id: "opening", name: t("accountOpening"), value, kind: "" });
  }
  if (it.provider_bytes !== null) {
    const more = it.provider_percent === null ? "" : ` (${signed(it.provider_percent)})`;
    const value = volume(it.provider_bytes, unit) + more;
    found.push({ id: "provider", name: t("accountProvider"), value, kind: "" });
  }
  return found;
}

const BASES = new Map([
  ["L2", "basisL2"],
  ["L2+FCS", "basisL2Fcs"],
  ["L3", "basisL3"],
] as const);

/** Which bytes are billed. */
export function billed({ rule, basis }: Statement["terms"]): string {
  const name = `rule_${rule}`;
  const bytes = BASES.get(basis as "L2");
  return t("accountBills", isText(name) ? t(name) : rule, bytes ? t(bytes) : basis);
}

/** A warning that holds in its account's running cycle. */
export interface Warned {
  account: string;
  cycle: string;
  time: string;
  text: string;
  /** What the collector said then, with its figures. */
  message: string;
}

/** The warnings of accounts, the newest first. */
export function warned(all: Statement[]): Warned[] {
  const each = all.flatMap((it) => it.warnings.map((given) => ({ it, given })));
  each.sort((a, b) => Date.parse(b.given.at) - Date.parse(a.given.at));
  return each.map(({ it: { account, cycle }, given: { warning, at, message } }) => {
    const percent = /^(\d+)%$/.exec(warning)?.[1];
    const name = percent ? "warn_percent" : `warn_${warning}`;
    // A newer collector may know more.
    const text = isText(name) ? t(name, percent ?? "") : message;
    return { account, cycle, time: moment(Date.parse(at)), text, message };
  });
}

/** The cells of a frozen cycle's row: cycle, used, at most, percentile, provider. */
export function historyCells(it: Statement): string[] {
  const { unit } = it.terms;
  const most = it.used_max_bytes;
  const p95 = it.metered.p95.bits_per_second;
  const more = it.provider_percent === null ? "" : ` (${signed(it.provider_percent)})`;
  // Nothing is known of it, so it is not 0.
  const nothing = it.metered.measured_intervals === 0 && it.opening_bytes === 0;
  return [
    nothing ? t("accountUnmeasured") : volume(it.used_bytes, unit),
    most === null ? "?" : volume(most, unit),
    p95 === null ? "–" : units.speed(p95),
    it.provider_bytes === null ? "–" : volume(it.provider_bytes, unit) + more,
  ];
}
