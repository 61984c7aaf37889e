// Clients as the overview lists them: what is wrong with each, and in which order they come.

import type { Column, OverviewState } from "../address";
import { DIRECTIONS, type Summary } from "../api";
import { t } from "../i18n";
import { clockOffset, gone, now, silence } from "../presence";
import * as units from "../units";

/** How many seconds are kept. */
export const WINDOW = 60;
const LOSS_MARKED = 60_000;

/** One client with its last minute. */
export interface Row {
  client: Summary;
  lost: { at: number; packets: number }[];
  /** Rates of each second, received and transmitted by turns; -1: nothing was measured. */
  recent: Float64Array;
  /** The last second of them, since 1970. */
  second: number;
}

export const peak = ({ rx, tx }: Summary): number =>
  Math.max(rx.peak_1ms_bytes_per_second, tx.peak_1ms_bytes_per_second);
export const packets = ({ rx, tx }: Summary): number =>
  rx.packets_per_second + tx.packets_per_second;
export const nameOf = ({ client }: Row): string => client.alias || client.client;

const VALUES: Record<Exclude<Column, "client">, (client: Summary) => number> = {
  rx: ({ rx }) => rx.bytes_per_second,
  tx: ({ tx }) => tx.bytes_per_second,
  peak,
  packets,
  drops: ({ drops_total }) => drops_total,
};

/** The row with what was told of its client last. */
export function updated(known: Row | undefined, client: Summary): Row {
  const fresh = () => new Float64Array(2 * WINDOW).fill(-1);
  const row = known ?? { client, lost: [], recent: fresh(), second: 0 };
  const more = client.drops_total - row.client.drops_total;
  if (more > 0) row.lost.push({ at: now(), packets: more });
  row.client = client;
  // By arrival: what an agent's clock says is not needed here.
  if (client.observed !== null) keep(row, Math.floor(Date.parse(client.observed) / 1000));
  return row;
}

/** Keeps the rates of a second. */
function keep(row: Row, second: number): void {
  const { recent, client } = row;
  const missed = Math.max(row.second + 1, second - WINDOW + 1);
  for (let gap = missed; gap <= second; gap += 1) {
    const at = 2 * (gap % WINDOW);
    recent.fill(-1, at, at + 2);
  }
  row.second = Math.max(row.second, second);
  DIRECTIONS.forEach((direction, index) => {
    const at = 2 * (second % WINDOW) + index;
    recent[at] = Math.max(recent[at] ?? 0, client[direction].bytes_per_second);
  });
}

const silent = ({ client }: Row): number => silence(client.observed, client.sample_interval_ns);

/** Whether its last figures are not those of this moment. */
export const stale = (row: Row): boolean =>
  !row.client.up || row.client.elsewhere || silent(row) > 0;

export interface Mark {
  text: string;
  /** How bad it is. */
  kind: "bad" | "warn" | "";
}

function presence(row: Row): Mark[] {
  if (!row.client.up) return [{ text: t("downFor", gone(row.client)), kind: "bad" }];
  if (row.client.elsewhere) return [{ text: t("elsewhere"), kind: "" }];
  const milliseconds = silent(row);
  return milliseconds > 0 ? [{ text: t("stale", units.span(milliseconds)), kind: "warn" }] : [];
}

/** What is to be known of a client. */
export function marks(row: Row): Mark[] {
  const { links_down, clock_offset_ns, second_host, sample_interval_ns } = row.client;
  const list = presence(row);
  row.lost = row.lost.filter(({ at }) => now() - at < LOSS_MARKED);
  const lost = row.lost.reduce((sum, { packets }) => sum + packets, 0);
  if (lost > 0) list.push({ text: t("lossMark", units.count(lost)), kind: "bad" });
  if (links_down.length > 0) {
    list.push({ text: t("linksDown", links_down.join(", ")), kind: "warn" });
  }
  const offset = clockOffset(clock_offset_ns, sample_interval_ns);
  if (offset !== 0) list.push({ text: t("clock", units.offset(offset)), kind: "warn" });
  if (second_host) list.push({ text: t("secondHost", second_host.refused), kind: "bad" });
  return list;
}

/** Whether something is wrong with it. */
export const needy = (row: Row): boolean => marks(row).some(({ kind }) => kind !== "");

const { compare } = new Intl.Collator(undefined, { numeric: true });

/** What a row is ordered by. What a stale client carried last is not what it carries. */
function key(row: Row, sort: Exclude<Column, "client">): number {
  return stale(row) && sort !== "drops" ? -1 : VALUES[sort](row.client);
}

/** The rows that are wanted, in their order. Rows of equal worth are in the order of their ids. */
export function arranged(rows: Iterable<Row>, state: OverviewState): Row[] {
  const { sort, attention } = state;
  const wanted = state.search.toLowerCase();
  const matches = ({ client }: Row) =>
    `${client.client} ${client.alias}`.toLowerCase().includes(wanted);
  // Worked out once for each row, for there may be thousands.
  const keyed = [...rows]
    .filter((row) => matches(row) && (!attention || needy(row)))
    .map((row) => ({ row, name: nameOf(row), key: sort === "client" ? 0 : key(row, sort) }));
  const sign = state.descending ? -1 : 1;
  keyed.sort((a, b) => {
    const order = sort === "client" ? compare(a.name, b.name) : a.key - b.key;
    return sign * order || compare(a.row.client.client, b.row.client.client);
  });
  return keyed.map(({ row }) => row);
}
