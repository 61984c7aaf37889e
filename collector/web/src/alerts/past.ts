// The list of alerts that are over, page by page.

import { type Alert, type AlertPage, MOST } from "./api";

/** Alerts of a page. */
export const PAGE = 50;

const newer = (a: Alert, b: Alert): number =>
  Date.parse(b.fired) - Date.parse(a.fired) || (a.id < b.id ? 1 : -1);

/** Two parts of the list as one: each alert once, as the second part knows it, the newest first. */
export function merged(list: Alert[], more: Alert[]): Alert[] {
  const known = new Map([...list, ...more].map((it) => [it.id, it]));
  return [...known.values()].sort(newer);
}

/** The newest alerts, as many as are shown or more: all of them as they are now, without those that are gone. */
export async function newest(
  shown: number,
  ask: (cursor: string | null, limit: number) => Promise<AlertPage>,
): Promise<AlertPage> {
  const alerts: Alert[] = [];
  let next: string | null = null;
  do {
    const page = await ask(next, Math.min(MOST, Math.max(PAGE, shown - alerts.length)));
    alerts.push(...page.alerts);
    next = page.next;
  } while (next !== null && alerts.length < shown);
  return { alerts, next };
}
