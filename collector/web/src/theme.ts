// Dark or light, and the colours of each for what is drawn on a canvas.

import { remember, remembered } from "./storage";

/** `auto`: as the system has it. */
const THEMES = ["auto", "dark", "light"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const palette = new Map<string, string>();
const listeners = new Set<() => void>();
let chosen: Theme = THEMES.find((theme) => theme === remembered(KEY)) ?? "auto";

export const theme = (): Theme => chosen;

/** Puts the chosen colours to use: style.css has them by the root's `data-theme`. */
export function applyTheme(): void {
  const dark = chosen === "auto" ? systemDark.matches : chosen === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  palette.clear();
  for (const repaint of listeners) repaint();
}

export function switchTheme(): void {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length] ?? "auto";
  remember(KEY, chosen);
  applyTheme();
}

systemDark.addEventListener("change", applyTheme);

/** A colour by its name in style.css. */
export function color(name: string): string {
  let found = palette.get(name);
  if (found === undefined) {
    found = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    palette.set(name, found);
  }
  return found;
}

/** Calls back after each change of the colours, until the function that it gives is called. */
export function onTheme(repaint: () => void): () => void {
  listeners.add(repaint);
  return () => listeners.delete(repaint);
}
