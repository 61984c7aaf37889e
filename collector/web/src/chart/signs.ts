// Signs of events: the colour tells how bad it is.

import type { Happening } from "../api";

const SIGNS: Record<Happening["kind"], [sign: string, color: string]> = {
  lost: ["✕", "bad"],
  gap: ["▨", "bad"],
  link_down: ["▼", "bad"],
  link_up: ["▲", "good"],
  started: ["▶", "text"],
  clock_step: ["◷", "warn"],
  capture: ["◐", "quiet"],
};

/** The sign of an event, and the name of its colour. A newer collector may know more kinds. */
export const signOf = ({ kind }: Happening): [sign: string, color: string] =>
  SIGNS[kind] ?? ["•", "quiet"];
