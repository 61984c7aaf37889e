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

export const COLUMNS = ["client", "rx", "tx", "peak", "packets", "drops"] as const;
export type Column = (typeof COLUMNS)[number];

/** What the overview shows. */
export interface OverviewState {
  search: string;
  sort: Column;
  descending: boolean;
  /** Only those that need attention. */
  attention: boolean;
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
    sort: COLUMNS.find((column) => column === query.get("sort")) ?? "rx",
    descending: query.get("order") !== "up",
    attention: query.get("only") === "attention",
  };
  return { page: "overview", state };
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

export function overviewAddress({ search, sort, descending, attention }: OverviewState): string {
  const query = new URLSearchParams();
  if (search) query.set("search", search);
  if (sort !== "rx") query.set("sort", sort);
  if (!descending) query.set("order", "up");
  if (attention) query.set("only", "attention");
  return join("/", query);
}
