// The live state, kept current by Server-Sent Events: all clients in short, or one in full.

import { span } from "./units";
import { version, type Client, type NicPoint, type Summary, type Update } from "./api";

export type State = "connecting" | "live" | "lost";
export const stateListeners = new Set<(state: State) => void>();

/** How far the collector's clock is ahead of this browser's, milliseconds. */
let ahead = 0;
export const now = (): number => Date.now() + ahead;

/** All clients as last told. */
export const summaries = new Map<string, Summary>();

interface Handlers {
  path: string;
  on: (name: "snapshot" | "update" | "samples", told: unknown) => void;
}

let source: EventSource | undefined;
let current: Handlers | undefined;

const tell = (state: State) => { for (const listener of stateListeners) listener(state); };

function open(): void {
  source?.close();
  source = undefined;
  const handlers = current;
  // Hidden pages cost nothing.
  if (!handlers || document.hidden) return;
  tell("connecting");
  const opened = new EventSource(handlers.path);
  source = opened;
  opened.onopen = () => tell("live");
  opened.onerror = () => {
    tell("lost");
    // A refused stream is closed for good by the browser. It does not say why.
    if (opened.readyState !== EventSource.CLOSED) return;
    version().catch(() => {});
    setTimeout(() => { if (source === opened) open(); }, 3000);
  };
  for (const name of ["snapshot", "update", "samples"] as const) {
    opened.addEventListener(name, (event) => {
      const told = JSON.parse(event.data);
      ahead = Date.parse(told.now) - Date.now();
      handlers.on(name, told);
    });
  }
}

document.addEventListener("visibilitychange", open);

export function reconnect(): void { open(); }

function listen(handlers: Handlers): () => void {
  current = handlers;
  open();
  return () => {
    if (current !== handlers) return;
    current = undefined;
    source?.close();
    source = undefined;
  };
}

/** Follows all clients. `structural`: some came or went. */
export function followAll(on: (told: Summary[], structural: boolean) => void): () => void {
  return listen({
    path: "api/v1/live",
    on: (name, told) => {
      const update = told as Update;
      const before = summaries.size;
      if (name === "snapshot") {
        const known = new Set(update.clients.map(({ client }) => client));
        for (const id of summaries.keys()) if (!known.has(id)) summaries.delete(id);
      }
      for (const summary of update.clients) summaries.set(summary.client, summary);
      for (const id of update.gone) summaries.delete(id);
      on(update.clients, name === "snapshot" || summaries.size !== before || update.gone.length > 0);
    },
  });
}

/** Follows one client: what it is like, and each of its samples. `again`: some may be missing. */
export function followOne(
  client: string,
  on: { client: (told: Client | null, again: boolean) => void; samples: (told: NicPoint[]) => void },
): () => void {
  return listen({
    path: `api/v1/live?client=${encodeURIComponent(client)}`,
    on: (name, told) => {
      if (name === "samples") on.samples((told as { samples: NicPoint[] }).samples);
      else on.client((told as { client: Client | null }).client, name === "snapshot");
    },
  });
}

/** For how long nothing was heard, milliseconds; 0 if that is as it should be: stale is what has
 *  no sample for three intervals, but not before 5 s. */
export function silence(observed: string | null, intervalNs: number): number {
  if (observed === null) return 0;
  const silent = now() - Date.parse(observed);
  return silent > Math.max(5000, (3 * intervalNs) / 1e6) ? silent : 0;
}

/** For how long a client is down, as text. */
export const gone = ({ last_seen }: { last_seen: string }): string =>
  span(Math.floor(Math.max(0, now() - Date.parse(last_seen)) / 1000) * 1000);

/** The clock's offset where it matters, milliseconds: past a sample interval. */
export function clockOffset(offsetNs: number | null, intervalNs: number): number {
  const offset = (offsetNs ?? 0) / 1e6;
  return Math.abs(offset) > Math.max(1, intervalNs / 1e6) ? offset : 0;
}
