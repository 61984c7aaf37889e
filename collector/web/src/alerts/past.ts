// The list of alerts that are over, page by page.

import type { Alert } from "./api";

const newer = (a: Alert, b: Alert): number =>
  Date.parse(b.fired) - Date.parse(a.fired) || (a.id < b.id ? 1 : -1);

/** Two parts of the list as one: each alert once, as the second part knows it, the newest first. */
export function merged(list: Alert[], more: Alert[]): Alert[] {
  const known = new Map([...list, ...more].map((it) => [it.id, it]));
  return [...known.values()].sort(newer);
}
