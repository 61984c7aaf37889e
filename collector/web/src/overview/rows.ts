// Clients as the overview lists them, and in which order they come.

import type { Column, OverviewState } from "../address";
import type { Summary } from "../api";
import type { History } from "./history";
import { found, searchOf } from "./search";
import { type Mark, marks, stale } from "./trouble";

/** One client. */
export interface Row {
  client: Summary;
  /** What is to be known of it, as of the last look. */
  marks: Mark[];
  /** Whether its figures are not those of this moment, as of the last look. */
  stale: boolean;
}

export const peak = ({ rx, tx }: Summary): number =>
  Math.max(rx.peak_1ms_bytes_per_second, tx.peak_1ms_bytes_per_second);
export const packets = ({ rx, tx }: Summary): number =>
  rx.packets_per_second + tx.packets_per_second;
export const nameOf = ({ client }: Row): string => client.alias || client.client;

/** Whether something is wrong with it. */
export const needy = ({ marks }: Row): boolean => marks.some(({ kind }) => kind !== "");

/** The row with what was told of its client last. */
export function updated(known: Row | undefined, client: Summary, history: History): Row {
  const row = known ?? { client, marks: [], stale: false };
  row.client = client;
  look(row, history);
  return row;
}

/** Finds out again what is to be known: some of it comes and goes with time. */
export function look(row: Row, history: History): void {
  row.marks = marks(row.client, history);
  row.stale = stale(row.client);
}

type Key = (row: Row) => number;
/** What a stale client carried last is not what it carries. */
const ifLive =
  (value: (client: Summary) => number): Key =>
  ({ client, stale }) =>
    stale ? -1 : value(client);

const KEYS: Record<Exclude<Column, "client" | "recent" | "tags">, Key> = {
  state: ({ marks }) => marks.reduce((most, { rank }) => Math.max(most, rank), 0),
  utilisation: ifLive(({ utilisation }) => utilisation?.share ?? -0.5),
  rx: ifLive(({ rx }) => rx.bytes_per_second),
  tx: ifLive(({ tx }) => tx.bytes_per_second),
  packets: ifLive(packets),
  peak: ({ client }) => client.hour?.peak_1ms?.bytes_per_second ?? -1,
  peak10: ({ client }) => client.hour?.peak_10ms?.bytes_per_second ?? -1,
  lost: ({ client }) => client.hour?.lost?.packets ?? 0,
  drops: ({ client }) => client.drops_total,
};

const { compare } = new Intl.Collator(undefined, { numeric: true });

/** Rows in their order. Of equal worth, the busiest of the last hour come first: that changes but once a
 *  minute. Then they are in the order of their ids. `mean`: how busy one was. */
export function inOrder<R extends Row>(
  rows: readonly R[],
  { sort, descending }: OverviewState,
  mean: (row: R) => number,
): R[] {
  const key: Key = sort === "client" || sort === "recent" || sort === "tags" ? () => 0 : KEYS[sort];
  // Worked out once for each row, for there may be thousands.
  const keyed = rows.map((row) => {
    const busy = sort === "state" ? mean(row) : 0;
    return { row, name: nameOf(row), key: key(row), busy };
  });
  const sign = descending ? -1 : 1;
  keyed.sort((a, b) => {
    const order = sort === "client" ? compare(a.name, b.name) : a.key - b.key;
    return sign * order || b.busy - a.busy || compare(a.row.client.client, b.row.client.client);
  });
  return keyed.map(({ row }) => row);
}

/** The rows that are wanted, in their order. */
export function arranged(rows: Iterable<Row>, state: OverviewState, history: History): Row[] {
  const { attention } = state;
  const search = searchOf(state.search);
  const wanted = (row: Row) => found(row.client, search) && (!attention || needy(row));
  return inOrder([...rows].filter(wanted), state, ({ client }) => history.mean(client.client));
}
