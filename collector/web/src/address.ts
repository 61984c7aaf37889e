// The state of a page as its address holds it, after the #.

import { TimeRange } from "./client/range";

/** What a client's page shows. */
export interface ClientState {
  nic: string;
  range: TimeRange;
  peaks: boolean;
  /** Whether the scale is bent. */
  log: boolean;
}

/** Columns of the overview, in their order. The client's is always there. */
export const COLUMNS = [
  "client",
  "recent",
  "utilisation",
  "rx",
  "tx",
  "peak",
  "peak10",
  "lost",
  "packets",
  "drops",
  "state",
] as const;
export type Column = (typeof COLUMNS)[number];

/** What is shown unless others are chosen. */
export const USUAL: readonly Column[] = COLUMNS.filter(
  (column) => column !== "packets" && column !== "drops",
);

/** What the overview shows. */
export interface OverviewState {
  search: string;
  sort: Column;
  descending: boolean;
  /** Only those that need attention. */
  attention: boolean;
  /** As many rows as fit. */
  dense: boolean;
  columns: readonly Column[];
}

export type Address =
  | { page: "overview"; state: OverviewState }
  | { page: "client"; client: string; state: ClientState }
  | { page: "accounts" };

/** Part of a path as text; what is wrongly encoded stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function parse(hash: string): Address {
  const [path = "", rest = ""] = hash.replace(/^#/, "").split("?");
  const query = new URLSearchParams(rest);
  const [kind, client, nic = ""] = path.split("/").filter(Boolean).map(decoded);
  if (kind === "client" && client) {
    const peaks = query.get("peaks") !== "0";
    const log = query.get("scale") === "log";
    return { page: "client", client, state: { nic, range: TimeRange.of(query), peaks, log } };
  }
  if (kind === "accounts") return { page: "accounts" };
  const state = {
    search: query.get("search") ?? "",
    sort: COLUMNS.find((column) => column === query.get("sort") && column !== "recent") ?? "state",
    descending: query.get("order") !== "up",
    attention: query.get("only") === "attention",
    dense: query.get("rows") === "dense",
    columns: columnsOf(query.get("columns")),
  };
  return { page: "overview", state };
}

function columnsOf(text: string | null): readonly Column[] {
  if (text === null) return USUAL;
  const asked = text.split(",");
  return COLUMNS.filter((column) => column === "client" || asked.includes(column));
}

const join = (path: string, query: URLSearchParams): string =>
  query.toString() === "" ? `#${path}` : `#${path}?${query}`;

export const clientPath = (client: string): string => `#/client/${encodeURIComponent(client)}`;

export function clientAddress(client: string, { nic, range, peaks, log }: ClientState): string {
  const query = range.query();
  if (!peaks) query.set("peaks", "0");
  if (log) query.set("scale", "log");
  return join(`/client/${encodeURIComponent(client)}/${encodeURIComponent(nic)}`, query);
}

/** What is shown on either side of a moment at least, milliseconds. */
const AROUND = 30_000;

/** A range around what happened from a time on, milliseconds since 1970. */
export function around(time: number, length: number): [from: number, to: number] {
  const margin = Math.max(AROUND, length);
  return [time - margin, time + length + margin];
}

/** A NIC's page at a moment. */
export function momentAddress(client: string, nic: string, time: number, length: number): string {
  const [from, to] = around(time, length);
  const query = new URLSearchParams({ from: from.toFixed(0), to: to.toFixed(0) });
  return join(`${clientPath(client).slice(1)}/${encodeURIComponent(nic)}`, query);
}

export function overviewAddress(state: OverviewState): string {
  const { search, sort, descending, attention, dense, columns } = state;
  const query = new URLSearchParams();
  if (search) query.set("search", search);
  if (sort !== "state") query.set("sort", sort);
  if (!descending) query.set("order", "up");
  if (attention) query.set("only", "attention");
  if (dense) query.set("rows", "dense");
  const chosen = columns.filter((column) => column !== "client").join(",");
  if (columns.join() !== USUAL.join()) query.set("columns", chosen);
  return join("/", query);
}
