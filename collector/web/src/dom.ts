// Elements. What comes from a host gets in as text only.

export function element<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Record<string, string> = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function write(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}

export function button(text: string, id: string, action: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", ...(id ? { id } : {}) }, text);
  made.addEventListener("click", action);
  return made;
}

const palette = new Map<string, string>();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => palette.clear());

/** Colours of the theme, by their names in style.css. */
export function color(name: string): string {
  let found = palette.get(name);
  if (found === undefined) {
    found = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    palette.set(name, found);
  }
  return found;
}

/** Offers a file to be saved. */
export function save(name: string, content: Blob): void {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Choices that outlast the page, where the browser keeps any. */
export function remembered(key: string): string | null {
  try { return localStorage.getItem(key); } catch { return null; }
}
export function remember(key: string, value: string): void {
  try { localStorage.setItem(key, value); } catch { /* the choice lasts as long as the page */ }
}

/** Puts the state into the address without a new entry in the history. */
export function keepAddress(path: string, state: URLSearchParams): void {
  const query = state.toString();
  history.replaceState(null, "", `#${path}${query ? `?${query}` : ""}`);
}

/** Shows what differs from what was shown last. */
export function onChange<T>(show: (shown: T) => void): (next: T) => void {
  let before: string | undefined;
  return (next) => {
    const text = JSON.stringify(next) ?? "";
    if (text !== before) { before = text; show(next); }
  };
}

/** Runs a drawing at most once per frame. */
export function perFrame(draw: () => void): { plan: () => void; stop: () => void } {
  let planned = 0;
  return {
    plan: () => { planned ||= requestAnimationFrame(() => { planned = 0; draw(); }); },
    stop: () => cancelAnimationFrame(planned),
  };
}
