// Colours of the theme, for what is drawn on a canvas.

const palette = new Map<string, string>();
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => palette.clear());

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
  dark.addEventListener("change", repaint);
  return () => dark.removeEventListener("change", repaint);
}
