// What happened in a range.

import { around } from "../address";
import type { Happening, Happenings } from "../api";
import { signOf } from "../chart/signs";
import { button, element } from "../dom";
import { isText, t } from "../i18n";
import { moment } from "../time";
import * as units from "../units";

const LISTED = 100;

/** What an event was. */
export function describe({ kind, packets, reason, rx_bytes, tx_bytes }: Happening): string {
  if (kind === "lost") return t("event_lost", units.exact(packets ?? 0));
  if (kind !== "gap") {
    const name = `event_${kind}`;
    // A newer collector may know more kinds.
    return isText(name) ? t(name) : kind;
  }
  const name = `gap_${reason ?? "unknown"}`;
  const why = isText(name) ? t(name) : String(reason);
  return t("event_gap", why, units.bytes(rx_bytes ?? 0), units.bytes(tx_bytes ?? 0));
}

/** What happened, newest first; a click leads there. */
export function happenings(
  { events, truncated }: Happenings,
  go: (from: number, to: number) => void,
): HTMLElement[] {
  if (events.length === 0) return [element("li", { class: "note" }, t("noEvents"))];
  const newest = events.slice(-LISTED).reverse();
  const items = newest.map((happening) => {
    const begin = Date.parse(happening.time);
    const length = happening.interval_ns / 1e6;
    const [sign, kind] = signOf(happening);
    const drawn = element("span", { class: `sign ${kind}`, "aria-hidden": "true" }, sign);
    const time = button(moment(begin), "", () => go(...around(begin, length)));
    const about = { "data-event": happening.kind };
    return element("li", about, drawn, time, " ", describe(happening));
  });
  const more = truncated || events.length > LISTED;
  return more ? [...items, element("li", { class: "note" }, t("moreEvents"))] : items;
}
