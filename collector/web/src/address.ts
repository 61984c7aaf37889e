// The state of a page as its address holds it, after the #.

import { partsOf, pathOf, type Subject, subjectOf } from "./subject";
import { type Tags, tagsOf } from "./tags";
import { askFor, type Who, whoOf } from "./talkers/who";
import { TimeRange } from "./view/range";

/** What the inbox shows unless another time is asked for, milliseconds. */
const WEEK = 7 * 864e5;

/** How a chart is looked at. */
export interface Look {
  range: TimeRange;
  peaks: boolean;
  /** Whether the scale is bent. */
  log: boolean;
}

/** What a client's page shows. */
export interface ClientState extends Look {
  nic: string;
  /** Which talkers are shown; `null`: none. */
  who: Who | null;
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
  "tags",
  "state",
] as const;
export type Column = (typeof COLUMNS)[number];

/** What is shown unless others are chosen. */
export const USUAL: readonly Column[] = COLUMNS.filter(
  (column) => !["packets", "drops", "tags"].includes(column),
);

/** Columns that clients can be sorted by. */
export const sortable = (column: Column): boolean => column !== "recent" && column !== "tags";

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
  /** Key of the tag that clients are grouped by; empty: they are not. */
  by: string;
  /** Values of the groups whose clients are not listed. */
  closed: readonly string[];
}

/** Which alerts the inbox shows, beside those that fire. */
export interface AlertsState {
  range: TimeRange;
  /** Only of this rule, and of this client. */
  rule: string;
  client: string;
}

/** Which talkers are searched for. */
export interface TalkersState {
  range: TimeRange;
  /** An address or a prefix; may be empty. */
  address: string;
}

export type Address =
  | { page: "overview"; state: OverviewState }
  | { page: "client"; client: string; state: ClientState }
  | { page: "group"; tags: Tags; look: Look }
  | { page: "compare"; subjects: Subject[]; look: Look }
  | { page: "alerts"; state: AlertsState }
  | { page: "talkers"; state: TalkersState }
  | { page: "accounts" };

/** What groups are shown over unless another range is asked for, milliseconds. */
const DAY = 86_400_000;

function lookOf(query: URLSearchParams, length?: number): Look {
  const peaks = query.get("peaks") !== "0";
  return { range: TimeRange.of(query, length), peaks, log: query.get("scale") === "log" };
}

function queryOf({ range, peaks, log }: Look): URLSearchParams {
  const query = range.query();
  if (!peaks) query.set("peaks", "0");
  if (log) query.set("scale", "log");
  return query;
}

export function parse(hash: string): Address {
  const [path = "", rest = ""] = hash.replace(/^#/, "").split("?");
  const query = new URLSearchParams(rest);
  const [kind, name = "", nic = ""] = partsOf(path);
  if (kind === "client" && name) {
    return { page: "client", client: name, state: { nic, who: whoOf(query), ...lookOf(query) } };
  }
  if (kind === "group") return { page: "group", tags: tagsOf(name), look: lookOf(query, DAY) };
  if (kind === "compare") {
    const paths = [...new Set(query.getAll("of"))];
    const subjects = paths.map(subjectOf).filter((subject) => subject !== null);
    return { page: "compare", subjects, look: lookOf(query, DAY) };
  }
  if (kind === "alerts") {
    const [rule, client] = [query.get("rule") ?? "", query.get("client") ?? ""];
    return { page: "alerts", state: { range: TimeRange.of(query, WEEK), rule, client } };
  }
  if (kind === "talkers") {
    const address = query.get("address") ?? "";
    return { page: "talkers", state: { range: TimeRange.of(query, DAY), address } };
  }
  if (kind === "accounts") return { page: "accounts" };
  const state = {
    search: query.get("search") ?? "",
    sort: COLUMNS.find((column) => column === query.get("sort") && sortable(column)) ?? "state",
    descending: query.get("order") !== "up",
    attention: query.get("only") === "attention",
    dense: query.get("rows") === "dense",
    columns: columnsOf(query.get("columns")),
    by: query.get("by") ?? "",
    closed: query.get("closed")?.split(",") ?? [],
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

export const clientPath = (client: string): string => `#${pathOf({ kind: "client", client })}`;

export function clientAddress(client: string, { nic, who, ...look }: ClientState): string {
  const query = queryOf(look);
  askFor(query, who);
  return join(pathOf({ kind: "nic", client, nic }), query);
}

/** An address of a NIC's page, with its talkers. */
export function askForTalkers(address: string, who: Who): string {
  const [path = "", rest = ""] = address.replace(/^#/, "").split("?");
  const query = new URLSearchParams(rest);
  askFor(query, who);
  return join(path, query);
}

export function talkersAddress({ range, address }: TalkersState): string {
  const query = !range.live || range.length !== DAY ? range.query() : new URLSearchParams();
  if (address) query.set("address", address);
  return join("/talkers", query);
}

/** The page of something, over the same range. */
export const subjectAddress = (subject: Subject, look: Look): string =>
  join(pathOf(subject), queryOf(look));

export const groupPath = (tags: Tags): string => `#${pathOf({ kind: "group", tags })}`;

/** The page that compares things, by the paths of their pages. */
export function compareAddress(paths: readonly string[], look: Look | null): string {
  const query = look ? queryOf(look) : new URLSearchParams();
  for (const path of paths) query.append("of", path);
  return join("/compare", query);
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
  return join(pathOf({ kind: "nic", client, nic }), query);
}

export function alertsAddress({ range, rule, client }: AlertsState): string {
  const query = !range.live || range.length !== WEEK ? range.query() : new URLSearchParams();
  if (rule) query.set("rule", rule);
  if (client) query.set("client", client);
  return join("/alerts", query);
}

export function overviewAddress(state: OverviewState): string {
  const { search, sort, descending, attention, dense, columns, by, closed } = state;
  const query = new URLSearchParams();
  if (search) query.set("search", search);
  if (sort !== "state") query.set("sort", sort);
  if (!descending) query.set("order", "up");
  if (attention) query.set("only", "attention");
  if (dense) query.set("rows", "dense");
  const chosen = columns.filter((column) => column !== "client").join(",");
  if (columns.join() !== USUAL.join()) query.set("columns", chosen);
  if (by) query.set("by", by);
  if (by && closed.length > 0) query.set("closed", closed.join(","));
  return join("/", query);
}
