// What the collector says of alerts: see api/v1/openapi.json.

import { ask, type Direction } from "../api";

/** Most alerts in an answer. */
export const MOST = 500;

export type AlertEvent = "firing" | "resolved";
export type AlertUnit = "packets" | "percent" | "bits_per_second" | "seconds" | "bytes" | "";
export type Severity = "warning" | "critical";

/** A message about an alert. */
export interface Delivery {
  event: AlertEvent;
  target: string;
  state: "waiting" | "sent" | "failed";
  attempts: number;
  ended: string | null;
  error: string | null;
}

/** A time during which a rule's condition held for what it is about. */
export interface Alert {
  id: string;
  state: AlertEvent;
  /** What happened, in a line of English. */
  title: string;
  rule: string;
  measure: string;
  severity: Severity;
  client: string | null;
  alias: string | null;
  nic: string | null;
  direction: Direction | null;
  /** The collector or account, if it is about one. */
  name: string | null;
  since: string;
  fired: string;
  resolved: string | null;
  ended: string | null;
  value: number;
  bound: number;
  side: "above" | "below" | "";
  worst: number;
  worst_at: string;
  unit: AlertUnit;
  detail: string;
  muted: string | null;
  announced: boolean;
  deliveries: Delivery[];
}
export interface AlertPage {
  alerts: Alert[];
  /** Where the list goes on. */
  next: string | null;
}

export interface Rule {
  name: string;
  measure: string;
  severity: Severity;
  side: "above" | "below";
  bound: number;
  clear: number;
  unit: AlertUnit;
  for_seconds: number;
  clear_for_seconds: number;
  direction: Direction | null;
  targets: string[];
  quiet_until: string | null;
}

/** A time without messages. Of what is set, all must match. */
export interface Silence {
  id: string;
  rule: string | null;
  client: string | null;
  nic: string | null;
  tag: string | null;
  from: string;
  until: string;
  by: string;
  reason: string;
}

export const firingAlerts = (signal: AbortSignal): Promise<AlertPage> =>
  ask(`alerts?${new URLSearchParams({ state: "firing", limit: String(MOST) })}`, signal);

/** Which alerts that are over are asked for; times in milliseconds since 1970. */
export interface Past {
  from: number;
  to: number | null;
  rule: string;
  client: string;
}

function query({ from, to, rule, client }: Past, more: Record<string, string>): URLSearchParams {
  const asked = new URLSearchParams({ state: "resolved", from: (from / 1000).toFixed(3), ...more });
  if (to !== null) asked.set("to", (to / 1000).toFixed(3));
  if (rule) asked.set("rule", rule);
  if (client) asked.set("client", client);
  return asked;
}

export const pastAlerts = (
  past: Past,
  cursor: string | null,
  limit: number,
  signal: AbortSignal,
): Promise<AlertPage> => {
  const more = { limit: String(limit), ...(cursor ? { cursor } : {}) };
  return ask(`alerts?${query(past, more)}`, signal);
};

export const pastCsv = (past: Past): string => `api/v1/alerts?${query(past, { format: "csv" })}`;

export const rulesInForce = async (signal: AbortSignal): Promise<Rule[]> =>
  (await ask<{ rules: Rule[] }>("alerts/rules", signal)).rules;

export const openSilences = async (signal: AbortSignal): Promise<Silence[]> =>
  (await ask<{ silences: Silence[] }>("alerts/silences", signal)).silences;
