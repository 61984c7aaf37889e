// What the collector says of talkers: see api/v1/openapi.json.

import { ask, type Direction, query, type Range } from "../api";

/** What talkers are put together by. */
export const GROUPINGS = ["host", "service", "owner", "key"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface Amount {
  bytes: number;
  packets: number;
}

export interface Owner {
  kind: string;
  name: string;
  process: string;
}

/** A talker, or several of one group. What they are not told apart by is `null`. */
export interface Talker extends Amount {
  /** Its true bytes are at most this much more. */
  error_bytes: number;
  /** What its key tells: `remote_service`, `arp` and so on. */
  kind: string | null;
  address: string | null;
  /** The other end of forwarded traffic. */
  other: string | null;
  /** Name of the address, if names are asked for and it is known by now. */
  host: string | null;
  protocol: number | null;
  port: number | null;
  owner: Owner | null;
}

export interface Interval {
  time: string;
  interval_ns: number;
  total_bytes: number;
  /** Of each talker, in their order. */
  talkers_bytes: number[];
  unattributed_bytes: number;
  rest_bytes: number;
}

export interface Talkers {
  kind: "minute" | "moment";
  /** What the records cover. */
  from: string;
  to: string;
  covered_ns: number;
  /** Damaged records, which are left out. */
  unreadable: number;
  speed_bits_per_second: number | null;
  total: Amount;
  distinct: number;
  distinct_error: number;
  /** What no talker beyond the named ones exceeds. */
  unlisted_bytes: number;
  talkers: Talker[];
  unattributed: Amount;
  rest: Amount;
  intervals: Interval[];
  /** Whether the collector looks up names of addresses. */
  names: "off" | "pending" | "known";
}

/** How many talkers are named. */
export const NAMED = 8;

/** Which talkers are asked for. */
export interface Asked extends Range {
  direction: Direction;
  by: Grouping;
  /** Only the record at this time, milliseconds since 1970. */
  at: number | null;
  names: boolean;
}

const path = (asked: Asked, more: Record<string, string> = {}): string => {
  const { client, nic, from, to, direction, by, at, names } = asked;
  const how = { direction, by, limit: String(NAMED), ...(names ? { names: "true" } : {}), ...more };
  if (at === null) return `talkers?${query({ client, nic, from, to }, how)}`;
  const record = { client, nic, at: (at / 1000).toFixed(3), ...how };
  return `talkers?${new URLSearchParams(record)}`;
};

export const talkers = (asked: Asked, signal: AbortSignal): Promise<Talkers> =>
  ask(path(asked), signal);

export const talkersCsv = (asked: Asked): string => `api/v1/${path(asked, { format: "csv" })}`;

/** A NIC that talked to an address. */
export interface Found extends Amount {
  client: string;
  alias: string | null;
  nic: string;
  direction: Direction;
  error_bytes: number;
  first: string;
  last: string;
}

/** Who talked to an address or prefix; times in milliseconds since 1970. */
export interface Search {
  address: string;
  from: number;
  to: number;
}

export interface SearchResult {
  found: Found[];
  truncated: boolean;
  /** Damaged records. */
  unreadable: number;
}

const searchPath = ({ address, from, to }: Search, more: Record<string, string> = {}): string =>
  `talkers/search?${query({ from, to }, { address, ...more })}`;

export const searched = (search: Search, signal: AbortSignal): Promise<SearchResult> =>
  ask(searchPath(search), signal);

export const searchCsv = (search: Search): string =>
  `api/v1/${searchPath(search, { format: "csv" })}`;
