// A table that keeps its rows while their names stay: a focus or a place in it is not lost.

import { element, write } from "../dom";

export interface CellRow {
  name: string;
  link: () => HTMLElement;
  cells: string[];
}

export class CellTable {
  readonly element: HTMLElement;
  private readonly body = element("tbody");
  private names = "";

  /** `titled`: what stands before it already says what it is. */
  constructor(caption: string, heads: string[], titled = false) {
    const cells = heads.map((head) => element("th", { scope: "col" }, head));
    const head = element("thead", {}, element("tr", {}, ...cells));
    const table = element(
      "table",
      {},
      element("caption", titled ? { class: "unseen" } : {}, caption),
      head,
      this.body,
    );
    // What is wider than the screen is moved by keys too.
    const about = { class: "wide", tabindex: "0", role: "group", "aria-label": caption };
    this.element = element("div", about, table);
  }

  show(rows: CellRow[]): void {
    const names = JSON.stringify(rows.map(({ name }) => name));
    if (names !== this.names) {
      this.names = names;
      const made = rows.map(({ link, cells }) => {
        const data = cells.map(() => element("td"));
        return element("tr", {}, element("th", { scope: "row" }, link()), ...data);
      });
      this.body.replaceChildren(...made);
    }
    rows.forEach(({ cells }, at) => {
      const data = this.body.children[at]?.querySelectorAll("td") ?? [];
      cells.forEach((text, index) => {
        write(data[index] as HTMLElement, text);
      });
    });
  }
}
