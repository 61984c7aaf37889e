// What time is shown, and a form to choose another.

import { element, write } from "../dom";
import { t } from "../i18n";
import { fromTo, ofField, shownZone, toField } from "../time";
import * as units from "../units";
import type { TimeRange } from "./range";

export class When {
  readonly element: HTMLDetailsElement;
  private readonly text = element("summary", { id: "when" });
  private readonly from: HTMLInputElement;
  private readonly to: HTMLInputElement;
  private limits: readonly [number, number] = [0, 0];

  /** `choose`: other limits, milliseconds since 1970. */
  constructor(private readonly choose: (from: number, to: number) => void) {
    const field = (id: string) => element("input", { type: "datetime-local", step: "1", id });
    [this.from, this.to] = [field("from"), field("to")];
    const label = (text: string, input: HTMLElement) => element("label", {}, text, " ", input);
    const fields = [label(t("from"), this.from), label(t("to"), this.to)];
    const submit = element("button", { type: "submit", id: "go" }, t("show"));
    const zone = element("span", { class: "note" }, t("timesIn", shownZone()));
    const form = element("form", { class: "tools", id: "dates" }, ...fields, submit, zone);
    this.element = element("details", {}, this.text, form);
    form.noValidate = true;
    form.addEventListener("submit", (event) => this.submit(event));
    this.element.addEventListener("toggle", () => this.fill());
  }

  show(range: TimeRange, now: number): void {
    this.limits = range.limits(now);
    const [from, to] = this.limits;
    const moves = range.live ? ` · ${t("live")}` : "";
    write(this.text, `${fromTo(from, to)} · ${units.span(to - from)}${moves}`);
  }

  private fill(): void {
    if (!this.element.open) return;
    this.from.value = toField(this.limits[0]);
    this.to.value = toField(this.limits[1]);
  }

  private submit(event: Event): void {
    event.preventDefault();
    this.to.setCustomValidity("");
    const [from, to] = [ofField(this.from.value), ofField(this.to.value)];
    if (from === null || to === null || to <= from) {
      this.to.setCustomValidity(t("wrongDates"));
      this.to.reportValidity();
      return;
    }
    this.element.open = false;
    this.choose(from, to);
  }
}
