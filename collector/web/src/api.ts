// What the collector answers: see api/v1/openapi.json.

/** Another host that came with a client's certificate, and was refused. */
export interface SecondHost {
  since: string;
  last_told: string;
  kept: string;
  refused: string;
  what: string;
}

export interface Sum {
  bytes_per_second: number;
  packets_per_second: number;
  peak_1ms_bytes_per_second: number;
}
/** Packets that figures lack or misplace; totals that only grow. */
export interface Losses {
  drops_total: number;
  late_total: number;
  inexact_total: number;
}
/** The interval in which something happened, by the client's clock. */
export interface Moment {
  /** Whose it is, among those of a group. */
  client?: string;
  nic: string;
  time: string;
  interval_ns: number;
}
export interface Peak extends Moment {
  direction: Direction;
  bytes_per_second: number;
  /** Of the link's speed, where it has one. */
  share: number | null;
}
export interface LostPackets extends Moment {
  packets: number;
}
/** What stands out in the last hour. */
export interface Hour {
  peak_1ms: Peak | null;
  peak_10ms: Peak | null;
  lost: LostPackets | null;
}
export interface Utilisation {
  /** Whose it is, among those of a group. */
  client?: string;
  nic: string;
  direction: Direction;
  share: number;
  speed_bits_per_second: number;
  /** If it is full. */
  full_since?: string;
}
export interface Summary extends Losses {
  client: string;
  alias: string;
  up: boolean;
  elsewhere: boolean;
  last_seen: string;
  observed: string | null;
  clock_offset_ns: number | null;
  second_host: SecondHost | null;
  /** Values by key. */
  tags: Record<string, string>;
  sample_interval_ns: number;
  links_down: string[];
  /** In an update only if it or `hour` has changed. */
  since?: string;
  utilisation: Utilisation | null;
  /** In an update only if it or `since` has changed. */
  hour?: Hour;
  rx: Sum;
  tx: Sum;
}
export interface Update {
  now: string;
  clients: Summary[];
  gone: string[];
}

/** What a client carried in each minute of an hour, bytes per second. */
export interface Minutes {
  client: string;
  rx: (number | null)[];
  tx: (number | null)[];
  /** Index of a minute, and packets lost in it. */
  lost: [minute: number, packets: number][];
}
export interface Overview {
  from: string;
  interval_ns: number;
  clients: Minutes[];
}

export interface Rate extends Sum {
  mean_packet_bytes: number | null;
}
export interface Sample {
  time: string;
  interval_ns: number;
  observed: string;
  rx: Rate;
  tx: Rate;
  drops: number;
}
export interface Nic extends Losses {
  nic: string;
  kind: string;
  speed_bits_per_second: number;
  stacked: boolean;
  up: boolean;
  sample: Sample | null;
}
export interface Client {
  client: string;
  alias: string;
  up: boolean;
  elsewhere: boolean;
  last_seen: string;
  clock_offset_ns: number | null;
  second_host: SecondHost | null;
  /** Values by key. */
  tags: Record<string, string>;
  host: {
    agent_version: string;
    os: string;
    kernel: string;
    cpus: number;
    sample_interval_ns: number;
  };
  nics: Nic[];
}

export interface Counts {
  bytes: number;
  packets: number;
  captured: number;
  peak_1ms_bytes: number;
  peak_10ms_bytes: number;
}
export interface Point {
  time: string;
  interval_ns: number;
  rx: Counts;
  tx: Counts;
  drops: number;
  flags: string[];
}
export interface NicPoint extends Point {
  nic: string;
}
export interface Series {
  resolution: string;
  points: Point[];
}

export interface MixCounts {
  sizes: { max_bytes: number | null; packets: number }[];
  network: Record<"ipv4_bytes" | "ipv6_bytes" | "arp_bytes" | "other_bytes", number>;
  transport: Record<"tcp_bytes" | "udp_bytes" | "icmp_bytes" | "other_bytes", number>;
  multicast_packets: number;
  broadcast_packets: number;
  tcp_syn_packets: number;
  tcp_rst_packets: number;
}
export interface Mix {
  covered_ns: number;
  rx: MixCounts;
  tx: MixCounts;
}

export type EventKind =
  | "lost"
  | "clock_step"
  | "capture"
  | "started"
  | "link_up"
  | "link_down"
  | "gap";
export interface Happening {
  time: string;
  interval_ns: number;
  kind: EventKind;
  packets?: number;
  reason?: string;
  rx_bytes?: number;
  tx_bytes?: number;
}
export interface Happenings {
  events: Happening[];
  truncated: boolean;
}

export interface Percentile {
  measured_intervals: number;
  rx_bits_per_second: number | null;
  tx_bits_per_second: number | null;
}

export type Direction = "rx" | "tx";
export const DIRECTIONS: readonly Direction[] = ["rx", "tx"];

/** Told when the collector asks for a token. */
export const refusals = new Set<() => void>();

/** What went wrong, for people. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** What an answer says that is no success. What stands between may answer in its own way. */
async function refusalOf(answer: Response): Promise<string> {
  const body = await answer.json().catch(() => null);
  return body?.error?.message ?? `HTTP ${answer.status}`;
}

/** The collector gave no answer at all. */
export class Unreachable extends Error {}

/** Asks the API. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(`api/v1/${path}`, signal ? { signal } : {}).catch((error: unknown) => {
    throw new Unreachable(String(error), { cause: error });
  });
  if (answer.ok) return (await answer.json()) as T;
  if (answer.status === 401) for (const refusal of refusals) refusal();
  throw new Error(await refusalOf(answer));
}

/** Why a live stream is refused: a browser does not say it of an `EventSource`. Empty: it is not. */
export async function whyRefused(path: string): Promise<string> {
  const enough = new AbortController();
  try {
    const answer = await fetch(path, { signal: enough.signal });
    if (answer.status === 401) for (const refusal of refusals) refusal();
    return answer.ok ? "" : await refusalOf(answer);
  } catch {
    return "";
  } finally {
    enough.abort();
  }
}

/** What the collector says of its store: `null` if it is ready, else why not. Nothing where what
 *  stands between gives another answer. */
export async function storeState(patience: number): Promise<string | null | undefined> {
  const signal = AbortSignal.timeout(patience);
  const answer = await fetch("readyz", { signal, cache: "no-store" });
  if (answer.ok) return null;
  const text = answer.headers.get("content-type")?.startsWith("text/plain");
  return answer.status === 503 && text ? (await answer.text()).trim() : undefined;
}

/** A NIC and a range, milliseconds since 1970. */
export interface Range {
  client: string;
  nic: string;
  from: number;
  to: number;
}

export function query(
  { from, to, ...which }: Partial<Range> & { from: number; to: number },
  more: Record<string, string> = {},
): string {
  const seconds = (time: number) => (time / 1000).toFixed(3);
  return new URLSearchParams({
    ...which,
    from: seconds(from),
    to: seconds(to),
    ...more,
  }).toString();
}

export const series = (
  range: Range,
  points: number,
  resolution: string,
  signal: AbortSignal,
): Promise<Series> =>
  ask(`series?${query(range, { max_points: String(points), resolution })}`, signal);
/** The last hour of all clients. */
export const overview = (signal: AbortSignal): Promise<Overview> => ask("overview", signal);
export const mix = (range: Range, signal: AbortSignal): Promise<Mix> =>
  ask(`mix?${query(range)}`, signal);
export const events = (range: Range, signal: AbortSignal): Promise<Happenings> =>
  ask(`events?${query(range)}`, signal);
export const percentile = (range: Range, signal: AbortSignal): Promise<Percentile> =>
  ask(`percentile?${query(range)}`, signal);
/** Of all NICs of the client together. */
export const percentileOfAll = (
  { nic: _, ...range }: Range,
  signal: AbortSignal,
): Promise<Percentile> => ask(`percentile?${query(range)}`, signal);
export const stored = (
  search: string,
): Promise<{ clients: { client: string; alias: string; nics: { nic: string }[] }[] }> =>
  ask(`clients?${new URLSearchParams({ search, limit: "10000" })}`);

/** Whether this browser is signed in. */
export const signedIn = async (): Promise<boolean> =>
  (await ask<{ signed_in: boolean }>("session")).signed_in;

/** Signs out, here and at the collector. */
export async function signOut(): Promise<void> {
  const answer = await fetch("api/v1/session", { method: "DELETE" });
  if (!answer.ok) throw new Error(await refusalOf(answer));
}

/** Signs in; says why not. */
export async function signIn(token: string): Promise<string | null> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch("api/v1/session", {
    method: "POST",
    headers,
    body: JSON.stringify({ token }),
  });
  return answer.ok ? null : refusalOf(answer);
}
