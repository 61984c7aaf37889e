// The collector's clock, and what is known of a client by it.

import { Health } from "./health";
import { span } from "./units";

/** Silence that is no reason to worry, however short the sample interval, milliseconds. */
const SHORT = 5000;

/** What is known of the collector. */
export const health = new Health();

/** The time by the collector's clock; it stands still while the collector can't be heard. */
export const now = (): number => health.now(Date.now());

/** For how long nothing was heard, milliseconds; 0 if that is as it should be: stale is what has
 *  no sample for three intervals, but not before 5 s. */
export function silence(observed: string | null, intervalNs: number): number {
  if (observed === null) return 0;
  const silent = now() - Date.parse(observed);
  return silent > Math.max(SHORT, (3 * intervalNs) / 1e6) ? silent : 0;
}

/** For how long a client is down, as text. */
export const gone = ({ last_seen }: { last_seen: string }): string =>
  span(Math.floor(Math.max(0, now() - Date.parse(last_seen)) / 1000) * 1000);

/** The clock's offset where it matters, milliseconds: past a sample interval. */
export function clockOffset(offsetNs: number | null, intervalNs: number): number {
  const offset = (offsetNs ?? 0) / 1e6;
  return Math.abs(offset) > Math.max(1, intervalNs / 1e6) ? offset : 0;
}
