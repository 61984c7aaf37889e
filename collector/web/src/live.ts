// The live state, kept current by Server-Sent Events: all clients in short, or one in full.

import {
  type Client,
  type NicPoint,
  type Summary,
  storeState,
  type Update,
  whyRefused,
} from "./api";
import { health } from "./presence";

/** A stream that was refused is asked for again after this. */
const RETRY = 3000;
/** How often the collector is asked how its store is, and how long it may take to answer. */
const ASK = 5000;

/** Told when `health` may have changed. */
export const healthListeners = new Set<() => void>();

/** All clients as last told. */
export const summaries = new Map<string, Summary>();

interface Handlers {
  path: string;
  on: (name: "snapshot" | "update" | "samples", told: unknown) => void;
}

let source: EventSource | undefined;
let current: Handlers | undefined;

const changed = () => {
  for (const listener of healthListeners) listener();
};

function open(): void {
  source?.close();
  source = undefined;
  const handlers = current;
  // Who is signed out follows nothing, and stays signed out.
  if (!handlers) return;
  health.connecting();
  // Hidden pages cost nothing.
  if (document.hidden) return;
  const opened = new EventSource(handlers.path);
  source = opened;
  opened.onerror = () => {
    // A refused stream is closed for good by the browser.
    if (opened.readyState === EventSource.CLOSED) {
      void retry(opened, handlers.path);
      return;
    }
    health.unreachable(Date.now());
    changed();
  };
  for (const name of ["snapshot", "update", "samples"] as const) {
    opened.addEventListener(name, (event) => {
      const told = JSON.parse(event.data);
      const before = health.state;
      health.heard(Date.now(), Date.parse(told.now));
      if (health.state !== before) changed();
      handlers.on(name, told);
    });
  }
}

/** Asks for a stream again that was refused, unless something else is followed meanwhile. */
async function retry(refused: EventSource, path: string): Promise<void> {
  const reason = await whyRefused(path);
  if (source !== refused) return;
  health.unreachable(Date.now(), reason);
  changed();
  setTimeout(() => {
    if (source === refused) open();
  }, RETRY);
}

/** Asks how the store is. No answer, and no word on the stream meanwhile: the collector is gone,
 *  though the connection looks as if it were there. */
async function askStore(): Promise<void> {
  if (document.hidden || health.connection === "signedOut") return;
  const begun = Date.now();
  try {
    const reason = await storeState(ASK);
    if (reason !== undefined) health.storeTold(Date.now(), reason);
    if (!source) open();
  } catch {
    if (document.hidden || health.heardSince(begun)) return;
    health.unreachable(begun);
    // What hangs is given up; the next answer opens it again.
    source?.close();
    source = undefined;
  }
  changed();
}

/** Keeps asking how the store is. */
export function watchStore(): void {
  void askStore();
  setInterval(() => void askStore(), ASK);
}

document.addEventListener("visibilitychange", () => {
  open();
  void askStore();
});

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

function keep(told: Summary): void {
  // What has not changed is not told again.
  const { hour, since } = summaries.get(told.client) ?? {};
  if (hour) told.hour ??= hour;
  if (since) told.since ??= since;
  summaries.set(told.client, told);
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
      update.clients.forEach(keep);
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
