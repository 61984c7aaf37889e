// A field to add what is to be compared, by its name.

import type { Summary } from "../api";
import { element } from "../dom";
import { t } from "../i18n";
import type { Subject } from "../subject";
import { tagOf } from "../tags";

/** So many names are offered at a time. */
const OFFERED = 60;

/** What a text names: `site=ams`, `web-1` or `web-1 eth0`; an alias will do. */
export function subjectFrom(text: string, known: Iterable<Summary>): Subject | null {
  const words = text.trim().split(/[\s,]+/);
  const tags = words.map(tagOf).filter((tag) => tag !== null);
  if (tags.length === words.length) return { kind: "group", tags };
  const name = text.trim();
  if (name === "") return null;
  for (const { client, alias } of known) {
    if (name === client || name === alias) return { kind: "client", client };
    const rest = name.startsWith(client) ? name.slice(client.length) : "";
    const nic = /^[\s/]+(\S.*)$/.exec(rest)?.[1];
    if (nic) return { kind: "nic", client, nic };
  }
  return null;
}

/** Names that a text may be the beginning of. */
export function names(text: string, known: Iterable<Summary>): string[] {
  const found = new Set<string>();
  const wanted = text.trim().toLowerCase();
  const offer = (name: string) => {
    if (name.toLowerCase().includes(wanted)) found.add(name);
  };
  for (const { client, alias, tags } of known) {
    offer(client);
    if (alias) offer(alias);
    for (const tag of Object.entries(tags)) offer(tag.join("="));
  }
  return [...found].sort().slice(0, OFFERED);
}

/** `known`: all clients; `add`: takes what was named, or says why not. */
export function addForm(
  known: () => Iterable<Summary>,
  add: (subject: Subject) => string,
): HTMLElement {
  const list = element("datalist", { id: "names" });
  const hint = { placeholder: t("addHint"), "aria-label": t("addHint") };
  const field = element("input", { id: "add", list: "names", autocomplete: "off", ...hint });
  const said = element("span", { id: "add-said", class: "bad", role: "status" });
  const offer = () =>
    list.replaceChildren(
      ...names(field.value, known()).map((value) => element("option", { value })),
    );
  field.addEventListener("focus", offer);
  field.addEventListener("input", offer);
  const submit = element("button", { type: "submit" }, t("add"));
  const form = element("form", { class: "tools", id: "adding" }, field, list, submit, said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const subject = subjectFrom(field.value, known());
    said.textContent = subject ? add(subject) : t("addUnknown", field.value.trim());
    if (said.textContent === "") field.value = "";
  });
  return form;
}
