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
  const made = element("button", { type: "button", id }, text);
  made.addEventListener("click", action);
  return made;
}

/** Colours of the theme, by their names in style.css. */
export const color = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Offers a file to be saved. */
export function save(name: string, content: Blob): void {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
