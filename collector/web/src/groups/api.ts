// What the collector says of groups: see api/v1/openapi.json.

import { ask, type Point, query } from "../api";
import type { Tags } from "../tags";
import { listOf } from "../tags";

export interface Group {
  /** Value of a tag, or a client's id. */
  value: string | null;
  clients: number;
  rx_bytes: number;
  tx_bytes: number;
  rx_p95_bits_per_second: number | null;
  tx_p95_bits_per_second: number | null;
  /** Of 5 minutes. */
  intervals: number;
  measured_intervals: number;
  points: Point[];
}
export interface Groups {
  /** In whole steps. */
  from: string;
  to: string;
  step_ns: number;
  /** Days that the collector has yet to pack: nothing is told of them. */
  missing_days: number;
  /** The largest, if there are too many. */
  groups: Group[];
  /** All others together. */
  other?: (Group & { values: number }) | null;
}

const MINUTE = 60_000;
const FIVE_MINUTES = 5 * MINUTE;
/** Steps that tile an hour, a day or a week; and the most points of a chart. */
const STEPS = [1, 5, 15, 30, 60, 180, 360, 1440, 10_080].map((minutes) => minutes * MINUTE);
const POINTS = 300;

/** The step for a range of some length, milliseconds. */
export const stepFor = (length: number): number =>
  STEPS.find((step) => length / step <= POINTS) ?? 10_080 * MINUTE;

/** Whose traffic is asked for: of all clients with some tags, or of one client. */
export type Whose = { tags: Tags } | { client: string };

/** How it is asked for: all in one group; or where a key has to be missing, which can't be asked for,
 *  by its values. */
export function asked(whose: Whose): Record<string, string> {
  if ("client" in whose) return { client: whose.client };
  const having = listOf(whose.tags.filter(([, value]) => value !== ""));
  const missing = whose.tags.find(([, value]) => value === "");
  return { ...(having && { tag: having }), ...(missing && { by: missing[0] }) };
}

/** Whether it can be asked for. */
export const askable = (tags: Tags): boolean =>
  tags.filter(([, value]) => value === "").length <= 1;

/** The traffic of one group. */
export async function group(
  whose: Whose,
  [from, to]: readonly [number, number],
  step: number,
  signal: AbortSignal,
): Promise<{ told: Groups; group: Group | undefined }> {
  const more = { ...asked(whose), step: `${step / MINUTE}m` };
  const told = await ask<Groups>(`groups?${query({ from, to }, more)}`, signal);
  return { told, group: told.groups.find(({ value }) => value === null) };
}

/** Asks for what is as fine as the range suggests, or where the collector no longer has that, for what is
 *  coarser. `empty`: whether there is nothing in an answer. */
export async function asFineAsThereIs<T>(
  length: number,
  get: (step: number) => Promise<T>,
  empty: (answer: T) => boolean,
): Promise<T> {
  const step = stepFor(length);
  const answer = await get(step);
  return step < FIVE_MINUTES && empty(answer) ? get(FIVE_MINUTES) : answer;
}

/** What each client of a group carried while it was in it, without points. */
export function members(
  tags: Tags,
  { from, to, step_ns }: Groups,
  signal: AbortSignal,
): Promise<Groups> {
  const { tag } = asked({ tags });
  const which = { each: "client", points: "false", ...(tag && { tag }) };
  const step = `${step_ns / 1e6 / MINUTE}m`;
  const range = query({ from: Date.parse(from), to: Date.parse(to) }, { ...which, step });
  return ask<Groups>(`groups?${range}`, signal);
}
