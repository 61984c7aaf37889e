// How the table is shown: which columns, and how dense.

import { COLUMNS, type Column, type OverviewState } from "../address";
import { button, element } from "../dom";
import { t } from "../i18n";
import { SPECS } from "./columns";

type Change = (how: Partial<OverviewState>) => void;

export class Options {
  readonly elements: HTMLElement[];
  private readonly dense: HTMLButtonElement;
  private readonly only: HTMLButtonElement;
  private readonly boxes = new Map<Column, HTMLInputElement>();

  constructor(
    private state: OverviewState,
    change: Change,
  ) {
    this.only = button(t("onlyAttention"), "only", () =>
      change({ attention: !this.state.attention }),
    );
    this.dense = button(t("dense"), "dense", () => change({ dense: !this.state.dense }));
    this.dense.title = t("denseMeans");
    const list = element("fieldset", {}, element("legend", {}, t("columns")));
    for (const column of COLUMNS.filter((column) => column !== "client")) {
      const box = element("input", { type: "checkbox", "data-column": column });
      box.addEventListener("change", () => change({ columns: this.chosen() }));
      this.boxes.set(column, box);
      list.append(element("label", {}, box, " ", t(SPECS[column].text)));
    }
    const summary = element("summary", { id: "columns" }, t("columns"));
    const details = element("details", { class: "choices" }, summary, list);
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      details.open = false;
      summary.focus();
    });
    details.addEventListener("focusout", (event) => {
      const next = event.relatedTarget as Node | null;
      if (next && !details.contains(next)) details.open = false;
    });
    this.elements = [this.only, this.dense, details];
  }

  show(state: OverviewState): void {
    this.state = state;
    this.only.setAttribute("aria-pressed", String(state.attention));
    this.dense.setAttribute("aria-pressed", String(state.dense));
    for (const [column, box] of this.boxes) box.checked = state.columns.includes(column);
  }

  private chosen(): Column[] {
    return COLUMNS.filter((column) => column === "client" || this.boxes.get(column)?.checked);
  }
}
