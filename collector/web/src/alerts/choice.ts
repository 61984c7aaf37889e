// Which alerts of the past are shown: their time, rule and client.

import type { AlertsState } from "../address";
import { button, element } from "../dom";
import { t } from "../i18n";
import * as units from "../units";
import { LENGTHS, TimeRange } from "../view/range";
import { When } from "../view/when";

/** Shorter ones show too little of what happens seldom. */
const SHORTEST = 36e5;
/** After the last key, milliseconds. */
const TYPED = 400;

export class Choice {
  readonly element: HTMLElement;
  private readonly when: When;
  private readonly length = element("select", { id: "range", "aria-label": t("range") });
  private readonly rule = element("select", { id: "rule", "aria-label": t("alertsRule") });
  private readonly client: HTMLInputElement;
  private readonly csv = element("a", { id: "csv", download: "alerts.csv" }, t("csv"));
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(change: (how: Partial<AlertsState>) => void) {
    this.when = new When((from, to) => change({ range: TimeRange.last(0).between(from, to, to) }));
    const hint = { placeholder: t("alertsClient"), "aria-label": t("alertsClient") };
    this.client = element("input", { type: "search", id: "client", ...hint });
    this.client.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => change({ client: this.client.value.trim() }), TYPED);
    });
    this.length.addEventListener("change", () =>
      change({ range: TimeRange.last(Number(this.length.value)) }),
    );
    this.rule.addEventListener("change", () => change({ rule: this.rule.value }));
    const tools = element("div", { class: "tools" });
    tools.append(this.length, this.rule, this.client, this.csv);
    this.element = element("div", {}, this.when.element, tools);
  }

  leave(): void {
    clearTimeout(this.timer);
  }

  show({ range, rule, client }: AlertsState, names: string[], now: number, csv: string): void {
    this.when.show(range, now);
    const lengths = LENGTHS.filter((length) => length >= SHORTEST);
    const last = lengths.map((length) => [String(length), t("alertsLast", units.span(length))]);
    const fixed = range.live ? [] : [["", t("otherRange")]];
    fill(this.length, [...fixed, ...last], range.live ? String(range.length) : "");
    const known = [...new Set(rule ? [...names, rule] : names)].sort();
    fill(this.rule, [["", t("alertsAllRules")], ...known.map((it) => [it, it])], rule);
    if (document.activeElement !== this.client) this.client.value = client;
    this.csv.href = csv;
  }
}

/** Sets the choices of a field, unless they are there. */
function fill(field: HTMLSelectElement, choices: string[][], chosen: string): void {
  const key = JSON.stringify(choices);
  if (field.dataset.choices !== key) {
    field.dataset.choices = key;
    const options = choices.map(([value = "", text = ""]) => element("option", { value }, text));
    field.replaceChildren(...options);
  }
  field.value = chosen;
}

/** Asks for what comes after the list. */
export const older = (action: () => void): HTMLButtonElement =>
  button(t("alertsOlder"), "older", action);
