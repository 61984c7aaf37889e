// Which talkers a page shows, as its address holds it.

import { DIRECTIONS, type Direction } from "../api";
import { GROUPINGS, type Grouping } from "./api";

/** What the bars are measured by. */
export const SCALES = ["rate", "nic", "link"] as const;
export type Scale = (typeof SCALES)[number];

export interface Who {
  direction: Direction;
  by: Grouping;
  scale: Scale;
  /** Only the record at this time, milliseconds since 1970. */
  at: number | null;
}

export const USUAL: Who = { direction: "rx", by: "host", scale: "rate", at: null };

/** What an address asks for; `null`: none. */
export function whoOf(query: URLSearchParams): Who | null {
  const text = query.get("talkers");
  if (text === null) return null;
  const parts = text.split("-");
  const at = Number(query.get("at"));
  return {
    direction: DIRECTIONS.find((it) => parts.includes(it)) ?? USUAL.direction,
    by: GROUPINGS.find((it) => parts.includes(it)) ?? USUAL.by,
    scale: SCALES.find((it) => parts.includes(it)) ?? USUAL.scale,
    at: at > 0 ? at : null,
  };
}

/** The same as a part of an address. */
export function askFor(query: URLSearchParams, who: Who | null): void {
  if (!who) return;
  query.set("talkers", [who.direction, who.by, who.scale].join("-"));
  if (who.at !== null) query.set("at", who.at.toFixed(0));
}
