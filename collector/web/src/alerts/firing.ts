// What fires now: asked for again and again, for the count in the navigation and for the inbox.

import { reasonOf } from "../api";
import { health } from "../presence";
import { type Alert, firingAlerts } from "./api";

/** Milliseconds between two questions: while the inbox is open, and elsewhere. */
const SOON = 5000;
const LATER = 15_000;
/** How long an answer may take. */
const PATIENCE = 10_000;

/** What is known. */
export interface Firing {
  /** Nothing before the first answer. */
  alerts: Alert[] | null;
  /** There are more. */
  more: boolean;
  /** Why nothing newer is known, if so. */
  failed: string;
}

const listeners = new Set<() => void>();
let known: Firing = { alerts: null, more: false, failed: "" };
let inboxes = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

/** What fires, as far as it is known. */
export const firing = (): Firing => known;

async function ask(): Promise<void> {
  if (asking || document.hidden || health.connection === "signedOut") return;
  asking = true;
  try {
    const { alerts, next } = await firingAlerts(AbortSignal.timeout(PATIENCE));
    known = { alerts, more: next !== null, failed: "" };
  } catch (error) {
    // What was known stays, with a word that it is old.
    known = { ...known, failed: reasonOf(error) };
  } finally {
    asking = false;
  }
  for (const listener of listeners) listener();
}

async function round(): Promise<void> {
  clearTimeout(timer);
  await ask();
  clearTimeout(timer);
  timer = setTimeout(() => void round(), inboxes > 0 ? SOON : LATER);
}

/** Keeps asking, and tells after each answer. The function that it gives ends the telling. */
export function onFiring(listener: () => void, inbox = false): () => void {
  listeners.add(listener);
  if (inbox) inboxes += 1;
  void round();
  return () => {
    listeners.delete(listener);
    if (inbox) inboxes -= 1;
  };
}

/** Asks at once: somebody signed in, or the page is seen again. */
export const askFiring = (): void => void round();

/** Nobody is to see it any more. */
export function forgetFiring(): void {
  known = { alerts: null, more: false, failed: "" };
  for (const listener of listeners) listener();
}

/** How many fire, as text, and whether one of them is critical. */
export function countOf({ alerts, more }: Firing): [count: string, critical: boolean] {
  if (!alerts || alerts.length === 0) return ["", false];
  const critical = alerts.some(({ severity }) => severity === "critical");
  return [`${alerts.length}${more ? "+" : ""}`, critical];
}
