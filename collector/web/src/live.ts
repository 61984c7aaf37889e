// The live state, kept current by Server-Sent Events: all clients in short, or one in full.

import { type Client, type NicPoint, type Summary, type Update, version } from "./api";
import { heardTime } from "./presence";

export type State = "connecting" | "live" | "lost";
export const stateListeners = new Set<(state: State) => void>();

/** All clients as last told. */
export const summaries = new Map<string, Summary>();

interface Handlers {
  path: string;
  on: (name: "snapshot" | "update" | "samples", told: unknown) => void;
}

let source: EventSource | undefined;
let current: Handlers | undefined;

const tell = (state: State) => {
  for (const listener of stateListeners) listener(state);
};

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
    setTimeout(() => {
      if (source === opened) open();
    }, 3000);
  };
  for (const name of ["snapshot", "update", "samples"] as const) {
    opened.addEventListener(name, (event) => {
      const told = JSON.parse(event.data);
      heardTime(told.now);
      handlers.on(name, told);
    });
  }
}

document.addEventListener("visibilitychange", open);

export function reconnect(): void {
  open();
}

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
      on(
        update.clients,
        name === "snapshot" || summaries.size !== before || update.gone.length > 0,
      );
    },
  });
}

/** Follows one client: what it is like, and each of its samples. `again`: some may be missing. */
export function followOne(
  client: string,
  on: {
    client: (told: Client | null, again: boolean) => void;
    samples: (told: NicPoint[]) => void;
  },
): () => void {
  return listen({
    path: `api/v1/live?client=${encodeURIComponent(client)}`,
    on: (name, told) => {
      if (name === "samples") on.samples((told as { samples: NicPoint[] }).samples);
      else on.client((told as { client: Client | null }).client, name === "snapshot");
    },
  });
}
