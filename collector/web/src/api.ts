// What the collector answers.

export interface Rate { bytes_per_second: number; packets_per_second: number; mean_packet_bytes: number | null; peak_1ms_bytes: number; peak_1ms_bytes_per_second: number }
export interface Sample { time: string; interval_ns: number; observed: string; rx: Rate; tx: Rate; drops: number; flags: string[] }
export interface Nic { nic: string; kind: string; speed_bits_per_second: number; stacked: boolean; up: boolean; drops_total: number; sample: Sample | null }
export interface Client { client: string; alias: string; up: boolean; last_seen: string; clock_offset_ns: number | null; host: { sample_interval_ns: number }; nics: Nic[] }
export interface Counts { bytes: number; packets: number; captured: number; peak_1ms_bytes: number; peak_10ms_bytes: number }
export interface Point { time: string; interval_ns: number; rx: Counts; tx: Counts; drops: number; flags: string[] }
export interface Series { from: string; to: string; resolution: string; points: Point[] }
export interface Update { now: string; clients: Client[]; gone: string[] }

async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(`api/v1/${path}`, signal ? { signal } : {});
  const body = await answer.json();
  if (!answer.ok) throw new Error(body?.error?.message ?? String(answer.status));
  return body as T;
}

/** What one NIC carried between two times, milliseconds since 1970. */
export function series(client: string, nic: string, from: number, to: number, points: number, resolution: string, signal?: AbortSignal): Promise<Series> {
  const seconds = (time: number) => (time / 1000).toFixed(3);
  const query = new URLSearchParams({ client, nic, from: seconds(from), to: seconds(to), points: String(points), resolution });
  return ask(`series?${query}`, signal);
}

export const clients = (): Promise<{ clients: { client: string; alias: string; nics: { nic: string }[] }[] }> => ask("clients");
