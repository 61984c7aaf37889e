// Elements. What comes from a host gets in as text only. No line ends within a figure.

import { unparted } from "./units";

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.map((it) => (typeof it === "string" ? unparted(it) : it)));
  return made;
}

const NAME = "Network Monitor";

/** Names the page in the browser's tabs and history. */
export function showTitle(what: string): void {
  const title = what ? `${what} – ${NAME}` : NAME;
  if (document.title !== title) document.title = title;
}

export function write(place: HTMLElement, text: string): void {
  const shown = unparted(text);
  if (place.textContent !== shown) place.textContent = shown;
}

export function button(text: string, id: string, action: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", ...(id ? { id } : {}) }, text);
  made.addEventListener("click", action);
  return made;
}

/** Offers a file to be saved. */
export function save(name: string, content: Blob): void {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Puts a text into the clipboard, the old way: on pages that are neither on HTTPS nor on this
 *  machine there is no other. */
function copyByField(text: string): void {
  const field = element("textarea", { readonly: "" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser does not let pages copy");
}

/** Puts a text into the clipboard. */
export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyByField(text);
  }
}

/** Puts the state into the address without a new entry in the history. */
export function keepAddress(address: string): void {
  history.replaceState(null, "", address);
}

/** Shows what differs from what was shown last. */
export function onChange<T>(show: (shown: T) => void): (next: T) => void {
  let before: string | undefined;
  return (next) => {
    const text = JSON.stringify(next) ?? "";
    if (text !== before) {
      before = text;
      show(next);
    }
  };
}

/** Runs a drawing at most once per frame. */
export function perFrame(draw: () => void): { plan: () => void; stop: () => void } {
  let planned = 0;
  return {
    plan: () => {
      planned ||= requestAnimationFrame(() => {
        planned = 0;
        draw();
      });
    },
    stop: () => cancelAnimationFrame(planned),
  };
}
