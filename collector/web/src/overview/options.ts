// How the table is shown: which columns, and how dense.

import { COLUMNS, type Column, type OverviewState } from "../address";
import { button, element, write } from "../dom";
import { t } from "../i18n";
import { SPECS } from "./columns";
import type { GroupRow } from "./groups";

type Change = (how: Partial<OverviewState>) => void;

export class Options {
  readonly elements: HTMLElement[];
  private readonly dense: HTMLButtonElement;
  private readonly only: HTMLButtonElement;
  private readonly boxes = new Map<Column, HTMLInputElement>();
  private readonly by = element("select", { id: "by", "aria-label": t("groupBy") });
  private readonly turnAll: HTMLButtonElement;
  private keys = "";
  private groups: readonly GroupRow[] = [];

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
    this.by.addEventListener("change", () => change({ by: this.by.value, closed: [] }));
    this.turnAll = button("", "turn-all", () => {
      const values = this.groups.map(({ group }) => group.tag[1]);
      change({ closed: this.anyOpen() ? values : [] });
    });
    this.elements = [this.by, this.turnAll, this.only, this.dense, details];
  }

  private anyOpen(): boolean {
    return this.groups.some(({ group }) => group.open);
  }

  /** Offers keys to group by, and to open or close all groups. */
  showGroups(keys: readonly string[], groups: readonly GroupRow[]): void {
    const { by } = this.state;
    const all = by === "" || keys.includes(by) ? keys : [by, ...keys];
    this.groups = groups;
    this.by.hidden = all.length === 0;
    if (all.join() !== this.keys) {
      this.keys = all.join();
      const options = all.map((key) => element("option", { value: key }, t("groupedBy", key)));
      this.by.replaceChildren(element("option", { value: "" }, t("notGrouped")), ...options);
    }
    this.by.value = by;
    this.turnAll.hidden = groups.length === 0;
    write(this.turnAll, t(this.anyOpen() ? "closeAll" : "openAll"));
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
