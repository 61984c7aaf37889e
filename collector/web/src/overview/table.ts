// The table of clients. Only the rows in sight exist.

import { type Column, clientPath, type OverviewState } from "../address";
import { button, element, write } from "../dom";
import { type Text, t } from "../i18n";
import { lossesTitle } from "../losses";
import * as units from "../units";
import { marks, nameOf, packets, peak, type Row, stale } from "./rows";
import { sparkline } from "./sparkline";

const ROW_HEIGHT = 44;
/** Rows beyond the edges that are drawn too. */
const SPARE = 4;
const FALLBACK_HEIGHT = 600;

const HEADS: [Column | "recent", Text][] = [
  ["client", "client"],
  ["recent", "recent"],
  ["rx", "rx"],
  ["tx", "tx"],
  ["peak", "peak"],
  ["packets", "packetRate"],
  ["drops", "lostPackets"],
];
/** Columns of figures, past the name and the last minute. */
const FIGURES = 5;

/** One place of the table, which shows one row after another. */
class Place {
  readonly element: HTMLElement;
  private readonly title = element("a");
  private readonly note = element("span", { class: "note" });
  private readonly marks = element("span", { class: "marks" });
  private readonly canvas = element("canvas", {
    width: "120",
    height: "32",
    "aria-hidden": "true",
  });
  private readonly cells = Array.from({ length: FIGURES }, () =>
    element("span", { role: "cell", class: "figure" }),
  );
  private marked = "";

  constructor() {
    const { title, note, marks, canvas, cells } = this;
    const name = element("span", { role: "cell", class: "name" }, title, note, marks);
    const recent = element("span", { role: "cell" }, canvas);
    this.element = element("div", { role: "row", class: "row" }, name, recent, ...cells);
    this.element.addEventListener("click", () => title.click());
    title.addEventListener("click", (event) => event.stopPropagation());
  }

  show(row: Row | undefined, index: number): void {
    this.element.hidden = !row;
    if (!row) return;
    const { client, alias } = row.client;
    this.element.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    this.element.setAttribute("aria-rowindex", String(index + 2));
    this.element.dataset.client = client;
    this.title.href = clientPath(client);
    write(this.title, nameOf(row));
    write(this.note, alias && alias !== client ? client : "");
    this.showMarks(row);
    this.showFigures(row);
    sparkline(this.canvas, row);
  }

  private showMarks(row: Row): void {
    const list = marks(row);
    const key = list.map(({ text, kind }) => kind + text).join("|");
    if (key === this.marked) return;
    this.marked = key;
    const shown = list.map(({ text, kind }) => element("span", { class: `mark ${kind}` }, text));
    this.marks.replaceChildren(...shown);
  }

  private showFigures(row: Row): void {
    const { client } = row;
    const old = stale(row);
    this.element.classList.toggle("stale", old);
    const rates = [client.rx.bytes_per_second, client.tx.bytes_per_second, peak(client)];
    const live = [...rates.map(units.rate), units.count(packets(client))];
    const figures = [...(old ? live.map(() => "–") : live), units.count(client.drops_total)];
    this.cells.forEach((cell, index) => {
      write(cell, figures[index] ?? "");
    });
    const losses = lossesTitle(client);
    const cell = this.cells.at(-1);
    if (cell && cell.title !== losses) cell.title = losses;
  }
}

export class Table {
  readonly element: HTMLElement;
  private readonly rows = element("div", { class: "rows", role: "rowgroup" });
  private readonly scroll = element("div", { class: "scroll" }, this.rows);
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly places: Place[] = [];
  private order: Row[] = [];

  /** `sort`: a column's head was pressed; `scrolled`: others are in sight. */
  constructor(sort: (column: Column) => void, scrolled: () => void) {
    const head = element("div", { role: "row", class: "row head" });
    for (const [name, text] of HEADS) head.append(this.head(name, text, sort));
    const top = element("div", { role: "rowgroup" }, head);
    const about = { role: "table", id: "clients", "aria-label": t("clients") };
    this.element = element("div", about, top, this.scroll);
    this.scroll.addEventListener("scroll", scrolled);
  }

  /** Takes another order; `draw` shows it. */
  arrange(order: Row[], { sort, descending }: OverviewState): void {
    this.order = order;
    for (const [name, cell] of this.heads) {
      const direction = descending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", name === sort ? direction : "none");
    }
    this.element.setAttribute("aria-rowcount", String(order.length + 1));
    this.rows.style.height = `${order.length * ROW_HEIGHT}px`;
  }

  draw(): void {
    const { scrollTop, clientHeight } = this.scroll;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - SPARE);
    const count = Math.ceil((clientHeight || FALLBACK_HEIGHT) / ROW_HEIGHT) + 2 * SPARE;
    const seen = this.order.slice(first, first + count);
    while (this.places.length < seen.length) {
      const place = new Place();
      this.places.push(place);
      this.rows.append(place.element);
    }
    this.places.forEach((place, index) => {
      place.show(seen[index], first + index);
    });
  }

  private head(name: Column | "recent", text: Text, sort: (column: Column) => void): HTMLElement {
    const figure = name !== "client" && name !== "recent";
    const cell = element("span", { role: "columnheader", class: figure ? "figure" : "" });
    if (name === "recent") {
      cell.append(t(text));
      return cell;
    }
    const control = button(t(text), "", () => sort(name));
    control.dataset.sort = name;
    cell.append(control);
    this.heads.set(name, cell);
    return cell;
  }
}
