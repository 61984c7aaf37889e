// Which talkers a page shows, as its address holds it.

import { DIRECTIONS, type Direction } from "../api";
import { GROUPINGS, type Grouping } from "./api";

/** What the bars are measured by. */
export const SCALES = ["rate", "nic", "link"] as const;
export type Scale = (typeof SCALES)[number];

/** A time, of which the record is meant that covers it, or the minutes of a bar; milliseconds since 1970. */
export type At = number | readonly [from: number, to: number];

export interface Who {
  direction: Direction;
  by: Grouping;
  scale: Scale;
  /** Only this part of the range. */
  at: At | null;
}

export const USUAL: Who = { direction: "rx", by: "host", scale: "rate", at: null };

function atOf(text: string): At | null {
  const [from = 0, to] = text.split("-").map(Number);
  if (!(from > 0)) return null;
  if (to === undefined) return from;
  return to > from ? [from, to] : null;
}

/** What an address asks for; `null`: none. */
export function whoOf(query: URLSearchParams): Who | null {
  const text = query.get("talkers");
  if (text === null) return null;
  const parts = text.split("-");
  return {
    direction: DIRECTIONS.find((it) => parts.includes(it)) ?? USUAL.direction,
    by: GROUPINGS.find((it) => parts.includes(it)) ?? USUAL.by,
    scale: SCALES.find((it) => parts.includes(it)) ?? USUAL.scale,
    at: atOf(query.get("at") ?? ""),
  };
}

/** The same as a part of an address. */
export function askFor(query: URLSearchParams, who: Who | null): void {
  if (!who) return;
  query.set("talkers", [who.direction, who.by, who.scale].join("-"));
  if (who.at === null) return;
  const times = typeof who.at === "number" ? [who.at] : who.at;
  query.set("at", times.map((time) => time.toFixed(0)).join("-"));
}
