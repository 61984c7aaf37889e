// The live state: every client as last told, kept current by Server-Sent Events.

import type { Client, Update } from "./api";

export type State = "connecting" | "live" | "lost";
export const clients = new Map<string, Client>();
export const listeners = new Set<(told: Client[], structural: boolean) => void>();
export const stateListeners = new Set<(state: State) => void>();

/** How far the collector's clock is ahead of this browser's, milliseconds. */
let ahead = 0;
export const now = (): number => Date.now() + ahead;

function take(update: Update, all: boolean): void {
  ahead = Date.parse(update.now) - Date.now();
  const before = clients.size;
  if (all) {
    const known = new Set(update.clients.map((client) => client.client));
    for (const id of clients.keys()) if (!known.has(id)) clients.delete(id);
  }
  for (const client of update.clients) clients.set(client.client, client);
  for (const id of update.gone) clients.delete(id);
  const structural = all || clients.size !== before || update.gone.length > 0;
  for (const listener of listeners) listener(update.clients, structural);
}

let source: EventSource | undefined;
let path = "";

/** Listens to one client, or to all. */
export function listen(client?: string): void {
  const wanted = "api/v1/live" + (client === undefined ? "" : `?client=${encodeURIComponent(client)}`);
  if (wanted === path && source) return;
  source?.close();
  path = wanted;
  const opened = new EventSource(wanted);
  source = opened;
  const tell = (state: State) => { for (const listener of stateListeners) listener(state); };
  tell("connecting");
  opened.onopen = () => tell("live");
  opened.onerror = () => {
    tell("lost");
    // A refused stream is closed for good by the browser.
    if (opened.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (source === opened) { source = undefined; listen(client); } }, 3000);
    }
  };
  opened.addEventListener("snapshot", (event) => take(JSON.parse(event.data), true));
  opened.addEventListener("update", (event) => take(JSON.parse(event.data), false));
}

// Hidden pages cost nothing.
document.addEventListener("visibilitychange", () => {
  const client = new URL(path, location.href).searchParams.get("client") ?? undefined;
  if (document.hidden) { source?.close(); source = undefined; } else if (path) { path = ""; listen(client); }
});

const SECOND = 1000;

/** A client is stale without a sample for three intervals, but not before 5 s. */
export function silence(client: Client): number {
  let observed = 0;
  for (const { sample } of client.nics) if (sample) observed = Math.max(observed, Date.parse(sample.observed));
  if (observed === 0) return 0;
  const silent = now() - observed;
  return silent > Math.max(5 * SECOND, 3 * client.host.sample_interval_ns / 1e6) ? silent : 0;
}
