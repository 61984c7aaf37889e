// Alerts in words: what happened, where, why, and who was told. What comes from outside is text.

import { around, askForTalkers, momentAddress } from "../address";
import { isText, type Text, t } from "../i18n";
import { USUAL } from "../talkers/who";
import { fromTo, moment } from "../time";
import * as units from "../units";
import type { Alert, AlertUnit, Delivery, Rule, Silence } from "./api";
import { matches } from "./glob";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** What a chart shows of a long alert. */
const SHOWN = 6 * HOUR;

/** A value with its unit. */
export function amount(value: number, unit: AlertUnit): string {
  switch (unit) {
    case "packets":
      return t(value === 1 ? "alertPacket" : "alertPackets", units.exact(Math.round(value)));
    case "percent":
      return `${Number(value.toFixed(1))} %`;
    case "bits_per_second":
      return units.rate(value / 8);
    case "seconds":
      return units.span(Math.max(0, value) * 1000);
    case "bytes":
      return units.bytes(value);
    default:
      return "";
  }
}

const named = (prefix: string, name: string): Text | null => {
  const text = `${prefix}_${name}`;
  return isText(text) ? text : null;
};

/** What happened, in figures. */
export function what(it: Alert): string {
  // The warning says it, with its figures.
  if (it.measure === "account") return it.detail || it.title;
  const name = named("what", it.measure);
  // Of a newer collector.
  if (!name) return it.title;
  if (it.measure === "certificate" && it.value <= 0) return t("whatExpired");
  const bound = t(it.side === "below" ? "alertBelow" : "alertAbove", amount(it.bound, it.unit));
  return t(name, amount(it.value, it.unit), bound);
}

/** What it is about. */
export function where({ client, alias, nic, direction, name }: Alert): string {
  const host = client && alias ? t("alertAlias", client, alias) : client;
  const way = direction && t(direction === "rx" ? "received" : "transmitted");
  return [host, nic, way, name].filter(Boolean).join(" ");
}

/** What is measured of a NIC's samples: somebody made it. */
const TALKED: ReadonlySet<string> = new Set(["loss", "utilisation", "peak_1ms", "rate"]);

/** The page at the moment of an alert. Nothing if it is about the collector. `now`: milliseconds since
 *  1970, of the collector. */
export function placeOf(it: Alert, now: number): string {
  const { measure, client, nic, direction, since, resolved, worst_at } = it;
  if (measure === "account") return "#/accounts";
  if (!client) return "";
  const begin = Date.parse(since);
  const length = Math.max(0, (resolved ? Date.parse(resolved) : now) - begin);
  const worst = Date.parse(worst_at);
  // Of a long one, the worst: its beginning may be days ago.
  const [from, to] = around(worst, SHOWN / 2);
  const long = [Math.max(begin, from), (to - from) / 2] as const;
  const shown = length <= SHOWN ? ([begin, length] as const) : long;
  const page = momentAddress(client, nic ?? "", ...shown);
  if (!(nic && TALKED.has(measure))) return page;
  return askForTalkers(page, { ...USUAL, direction: direction ?? USUAL.direction, at: worst });
}

/** Since when it fires, or from when to when it did. */
export function when({ since, resolved, ended }: Alert): string {
  const begin = Date.parse(since);
  if (!resolved) return t("alertSince", moment(begin));
  const end = Math.max(begin, Date.parse(resolved));
  const how = named("ended", ended ?? "calm");
  const why = how && how !== "ended_calm" ? `${t("alertComma")}${t(how)}` : "";
  return t("alertFromTo", fromTo(begin, end), units.span(end - begin)) + why;
}

/** For how long it has been there: whole seconds, from a minute on whole minutes. */
export function age({ since }: Alert, now: number): string {
  const length = Math.max(1000, now - Date.parse(since));
  const step = length < MINUTE ? 1000 : MINUTE;
  return units.span(Math.floor(length / step) * step);
}

/** The worst value, where there is one worse than that when it fired. */
export function worst({ worst, worst_at, value, unit }: Alert): string {
  if (!unit || worst === value) return "";
  return t("alertWorst", amount(worst, unit), moment(Date.parse(worst_at)));
}

/** When a rule fires, and when that is over. */
export function condition(rule: Rule): string {
  const name = named("measure", rule.measure);
  const measure = name ? t(name) : rule.measure;
  const way = rule.direction && t(rule.direction === "rx" ? "received" : "transmitted");
  const bound = t(
    rule.side === "below" ? "alertBelow" : "alertAbove",
    amount(rule.bound, rule.unit),
  );
  const held = rule.for_seconds > 0 && t("ruleFor", units.span(rule.for_seconds * 1000));
  const calm = units.span(rule.clear_for_seconds * 1000);
  const clear = rule.unit
    ? t("ruleClear", amount(rule.clear, rule.unit), calm)
    : t("ruleOver", calm);
  const fires = [measure, way, rule.unit && bound, held].filter(Boolean).join(" ");
  return t("ruleText", fires, clear);
}

/** Why it fired: its rule as it is now. */
export function why(it: Alert, rules: Map<string, Rule>): string {
  const rule = rules.get(it.rule);
  if (!rule || rule.measure !== it.measure) return t("ruleGone", it.rule);
  const text = t("ruleNamed", it.rule, condition(rule));
  return rule.unit && rule.bound !== it.bound
    ? `${text} ${t("ruleThen", amount(it.bound, it.unit))}`
    : text;
}

/** What became of a message, and how that is meant. */
export function told(it: Delivery): [text: string, kind: "" | "warn" | "bad"] {
  const { event, target, state, attempts, ended, error } = it;
  const time = ended ? moment(Date.parse(ended)) : "";
  if (state === "sent") return [t(`told_${event}`, target, time), ""];
  const reason = error ?? t("reasonUnknown");
  if (state === "failed") return [t("toldFailed", target, time, attempts, reason), "bad"];
  if (attempts === 0 && !error) return [t("toldWaiting", target), ""];
  return [t("toldRetry", target, attempts, reason), "warn"];
}

const covers = (silence: Silence, it: Alert): boolean =>
  (silence.rule === null || silence.rule === it.rule) &&
  (silence.client === null || (it.client !== null && matches(silence.client, it.client))) &&
  (silence.nic === null || (it.nic !== null && matches(silence.nic, it.nic))) &&
  // Which tags its client has is not told here.
  silence.tag === null;

/** The silence that an alert falls under at a time. */
export function silenceOf(it: Alert, silences: Silence[], now: number): Silence | undefined {
  const open = silences.filter(
    ({ from, until }) => Date.parse(from) <= now && now < Date.parse(until),
  );
  const cited = /^silence (\S+) of /.exec(it.muted ?? "")?.[1];
  return open.find(({ id }) => id === cited) ?? open.find((silence) => covers(silence, it));
}

/** Whom nobody told, and until when that stays so. Nothing if it needs no word. */
export function hushed(
  it: Alert,
  rules: Map<string, Rule>,
  silences: Silence[],
  now: number,
): string {
  const silence = it.resolved ? undefined : silenceOf(it, silences, now);
  if (silence) {
    return t("silencedUntil", moment(Date.parse(silence.until)), silence.by, silence.reason);
  }
  const quiet = it.resolved ? null : rules.get(it.rule)?.quiet_until;
  if (quiet) return t("quietUntil", moment(Date.parse(quiet)));
  if (it.announced) return it.deliveries.length === 0 ? t("toldNoTarget") : "";
  return it.muted ? t("toldNobody", it.muted) : "";
}

/** What a silence is about. */
export function about({ rule, client, nic, tag }: Silence): string {
  const parts: [Text, string | null][] = [
    ["silenceRule", rule],
    ["silenceClient", client],
    ["silenceNic", nic],
    ["silenceTag", tag],
  ];
  const set = parts.filter(([, value]) => value !== null);
  return set.map(([name, value]) => t(name, value ?? "")).join(", ") || t("silenceAll");
}

/** What texts need beside the alert. */
export interface Known {
  rules: Map<string, Rule>;
  silences: Silence[];
  /** The collector's time, milliseconds since 1970. */
  now: number;
}

/** A line about an alert: which one, what it says, and how it is meant. */
export type Line = [part: string, text: string, kind: "" | "warn" | "bad"];

/** An alert as it is shown. */
export interface Words {
  critical: boolean;
  /** The page at its moment. */
  href: string;
  where: string;
  what: string;
  when: string;
  worst: string;
  lines: Line[];
}

export function wordsOf(it: Alert, { rules, silences, now }: Known): Words {
  const hush = hushed(it, rules, silences, now);
  const lines: Line[] = [["why", why(it, rules), ""]];
  if (hush) lines.push(["hushed", hush, "warn"]);
  for (const delivery of it.deliveries) lines.push(["told", ...told(delivery)]);
  if (it.detail && it.measure !== "account") lines.push(["detail", it.detail, ""]);
  return {
    critical: it.severity === "critical",
    href: placeOf(it, now),
    where: where(it),
    what: what(it),
    when: when(it),
    worst: worst(it),
    lines,
  };
}
