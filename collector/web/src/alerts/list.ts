// A list of alerts.

import { element, onChange, write } from "../dom";
import { t } from "../i18n";
import type { Alert } from "./api";
import { age, type Known, type Words, wordsOf } from "./words";

function head({ critical, href, where, what }: Words): HTMLElement {
  const sign = element("span", { class: `severity ${critical ? "bad" : "warn"}` });
  sign.textContent = t(critical ? "critical" : "warning");
  const place = href ? element("a", { href }, where) : element("strong", {}, where);
  place.dataset.part = "where";
  return element("p", {}, sign, " ", place, " ", element("span", { "data-part": "what" }, what));
}

class AlertRow {
  readonly element: HTMLElement;
  private readonly age = element("span", { class: "note" });

  /** A focus or a selection stays while nothing else is to be said. */
  private readonly draw = onChange((words: Words) => {
    const time = element("p", { "data-part": "when" }, words.when, " ", this.age);
    if (words.worst) time.append(" · ", element("span", { "data-part": "worst" }, words.worst));
    const lines = words.lines.map(([part, text, kind]) =>
      element("li", { "data-part": part, class: kind || "note" }, text),
    );
    this.element.replaceChildren(head(words), time, element("ul", {}, ...lines));
  });

  constructor(id: string) {
    this.element = element("li", { class: "alert", "data-alert": id });
  }

  show(it: Alert, known: Known): void {
    // To the minute, as its link needs it.
    this.draw(wordsOf(it, { ...known, now: Math.floor(known.now / 60_000) * 60_000 }));
    write(this.age, it.resolved ? "" : t("alertAge", age(it, known.now)));
  }
}

/** Alerts in their order. Rows stay as long as their alerts do. */
export class AlertList {
  readonly element: HTMLElement;
  private rows = new Map<string, AlertRow>();

  constructor(id: string) {
    this.element = element("ul", { class: "alerts", id });
  }

  show(alerts: Alert[], known: Known): void {
    const before = this.rows;
    this.rows = new Map(alerts.map(({ id }) => [id, before.get(id) ?? new AlertRow(id)]));
    for (const it of alerts) this.rows.get(it.id)?.show(it, known);
    for (const [id, row] of before) if (!this.rows.has(id)) row.element.remove();
    [...this.rows.values()].forEach((row, index) => {
      const there = this.element.children[index] ?? null;
      if (there !== row.element) this.element.insertBefore(row.element, there);
    });
  }
}
