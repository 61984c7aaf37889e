// Clients grouped by a tag: what those of a group come to.

import type { OverviewState } from "../address";
import type { Direction, Hour, LostPackets, Peak, Sum, Summary, Utilisation } from "../api";
import { t } from "../i18n";
import { type Tags, tagValue } from "../tags";
import type { History } from "./history";
import { inOrder, needy, type Row } from "./rows";

/** A row that stands for the clients of a group, which follow it unless it is closed. */
export interface GroupRow extends Row {
  group: {
    tag: Tags[number];
    rows: Row[];
    open: boolean;
  };
}

export const isGroup = (row: Row): row is GroupRow => "group" in row;

/** Keys that any client has a tag of. */
export function keysOf(clients: Iterable<Summary>): string[] {
  const keys = new Set<string>();
  for (const { tags } of clients) for (const key of Object.keys(tags)) keys.add(key);
  return [...keys].sort();
}

function sumOf(rows: readonly Row[], direction: Direction): Sum {
  const sum = { bytes_per_second: 0, packets_per_second: 0, peak_1ms_bytes_per_second: 0 };
  for (const { client, stale } of rows) {
    if (stale) continue;
    const own = client[direction];
    sum.bytes_per_second += own.bytes_per_second;
    sum.packets_per_second += own.packets_per_second;
    sum.peak_1ms_bytes_per_second = Math.max(
      sum.peak_1ms_bytes_per_second,
      own.peak_1ms_bytes_per_second,
    );
  }
  return sum;
}

/** The one that is worth most, with the client whose it is. */
function most<T extends object>(
  rows: readonly Row[],
  of: (row: Row) => T | null | undefined,
  worth: (of: T) => number,
): (T & { client: string }) | null {
  let found: (T & { client: string }) | null = null;
  for (const row of rows) {
    const own = of(row);
    if (own && (!found || worth(own) > worth(found))) {
      found = { ...own, client: row.client.client };
    }
  }
  return found;
}

const height = (peak: Peak): number => peak.bytes_per_second;

/** Losses together, at the newest. */
function lost(rows: readonly Row[]): LostPackets | null {
  const newest = most(
    rows,
    ({ client }) => client.hour?.lost,
    ({ time }) => Date.parse(time),
  );
  const packets = rows.reduce((sum, { client }) => sum + (client.hour?.lost?.packets ?? 0), 0);
  return newest && { ...newest, packets };
}

const hour = (rows: readonly Row[]): Hour => ({
  peak_1ms: most(rows, ({ client }) => client.hour?.peak_1ms, height),
  peak_10ms: most(rows, ({ client }) => client.hour?.peak_10ms, height),
  lost: lost(rows),
});

/** A full link before one that is fuller this moment. */
const worst = ({ share, full_since }: Utilisation): number => share + (full_since ? 10 : 0);

const total = (rows: readonly Row[], key: "drops_total" | "late_total" | "inexact_total"): number =>
  rows.reduce((sum, { client }) => sum + client[key], 0);

/** What the clients of a group come to, told as if they were one. */
export function together(tag: Tags[number], rows: readonly Row[]): Summary {
  const seen = rows.map(({ client }) => client.last_seen).sort();
  return {
    client: tag.join("="),
    alias: "",
    up: rows.some(({ client }) => client.up),
    elsewhere: false,
    last_seen: seen.at(-1) ?? "",
    observed: null,
    clock_offset_ns: null,
    second_host: null,
    tags: {},
    sample_interval_ns: 0,
    links_down: [],
    utilisation: most(rows, ({ client, stale }) => (stale ? null : client.utilisation), worst),
    hour: hour(rows),
    rx: sumOf(rows, "rx"),
    tx: sumOf(rows, "tx"),
    drops_total: total(rows, "drops_total"),
    late_total: total(rows, "late_total"),
    inexact_total: total(rows, "inexact_total"),
  };
}

/** Finds out again what a group comes to. */
export function sumUp(row: GroupRow): void {
  const { tag, rows } = row.group;
  row.client = together(tag, rows);
  row.stale = rows.every(({ stale }) => stale);
  const troubled = rows.filter(needy);
  const marks = troubled.flatMap((row) => row.marks);
  const kind = marks.some((mark) => mark.kind === "bad") ? "bad" : "warn";
  const rank = Math.max(0, ...marks.map((mark) => mark.rank));
  row.marks =
    troubled.length === 0 ? [] : [{ text: t("needAttention", troubled.length), kind, rank }];
}

/** Clients in their order, below their groups, which are in the same order. Those without a tag of the
 *  key come last. */
export function grouped(rows: readonly Row[], state: OverviewState, history: History): Row[] {
  const { by, closed } = state;
  if (by === "") return [...rows];
  const of = new Map<string, Row[]>();
  for (const row of rows) {
    const value = tagValue(row.client.tags, by);
    const others = of.get(value);
    if (others) others.push(row);
    else of.set(value, [row]);
  }
  const groups = [...of].map(([value, rows]): GroupRow => {
    const group = { tag: [by, value] as const, rows, open: !closed.includes(value) };
    const row = { client: together(group.tag, rows), marks: [], stale: false, group };
    sumUp(row);
    return row;
  });
  const mean = ({ group }: GroupRow): number =>
    group.rows.reduce((sum, { client }) => sum + history.mean(client.client), 0);
  const ordered = inOrder(groups, state, mean);
  const last = ordered.filter(({ group }) => group.tag[1] === "");
  const first = ordered.filter(({ group }) => group.tag[1] !== "");
  return [...first, ...last].flatMap((row) => [row, ...(row.group.open ? row.group.rows : [])]);
}
