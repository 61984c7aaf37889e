// What was chosen to be compared. It outlasts a visit to another page.

import { compareAddress, type Look } from "../address";
import { pathOf, type Subject } from "../subject";

/** So many lines can still be told apart. */
export const MOST = 8;

let chosen: readonly string[] = [];

/** The paths of their pages. */
export const chosenPaths = (): readonly string[] => chosen;

export function keepChosen(paths: readonly string[]): void {
  chosen = paths.slice(0, MOST);
}

/** Chooses one, or no longer. False if there are too many. */
export function choose(path: string, wanted: boolean): boolean {
  const others = chosen.filter((other) => other !== path);
  if (wanted && others.length >= MOST) return false;
  chosen = wanted ? [...others, path] : others;
  return true;
}

/** Goes to the page that compares this with what was chosen before. */
export function compareWith(subject: Subject, look: Look): void {
  location.hash = compareAddress([...new Set([...chosen, pathOf(subject)])], look);
}
