// The table of clients. Only the rows in sight exist.

import { type Column, type OverviewState, sortable } from "../address";
import { button, element } from "../dom";
import { t } from "../i18n";
import { fitting, headOf, isNarrow, template } from "./columns";
import { isGroup } from "./groups";
import { RowHeights } from "./heights";
import type { History } from "./history";
import { Place, type RowActions } from "./place";
import { needy, type Row } from "./rows";

/** Rows beyond the edges that are drawn too. */
const SPARE = 4;
const FALLBACK_HEIGHT = 600;
/** What a row takes beside its columns. */
const PADDING = 28;

export class Table {
  readonly element: HTMLElement;
  private readonly rows = element("div", { class: "rows", role: "rowgroup" });
  private readonly scroll = element("div", { class: "scroll" }, this.rows);
  private readonly head = element("div", { role: "row", class: "row head" });
  private readonly heads = new Map<Column, HTMLElement>();
  private places: Place[] = [];
  private columns: Column[] = [];
  /** Pixels for columns. */
  private room = 0;
  private readonly heights = new RowHeights(this.rows);
  private order: Row[] = [];
  private troubled: boolean[] = [];
  /** Where each row begins, and the last one ends. */
  private tops: number[] = [0];
  private dense = false;
  private sorted: Pick<OverviewState, "sort" | "descending"> = { sort: "state", descending: true };
  private readonly sizes: ResizeObserver;
  private chosen: readonly Column[] = [];

  /** `sort`: a column's head was pressed; `scrolled`: others are in sight. */
  constructor(
    private readonly sort: (column: Column) => void,
    private readonly scrolled: () => void,
    private readonly history: History,
    private readonly on: RowActions,
  ) {
    const top = element("div", { role: "rowgroup" }, this.head);
    const about = { role: "table", id: "clients", "aria-label": t("clients") };
    this.element = element("div", about, top, this.scroll);
    this.scroll.addEventListener("scroll", scrolled);
    this.rows.addEventListener("keydown", (event) => this.pressed(event));
    this.sizes = new ResizeObserver(() => {
      this.fit();
      this.layOut();
      this.scrolled();
    });
    this.sizes.observe(this.element);
  }

  leave(): void {
    this.sizes.disconnect();
  }

  /** Whether somebody is at a row: then rows stay where they are. */
  get busy(): boolean {
    return this.rows.contains(document.activeElement);
  }

  /** Takes another order; `draw` shows it. */
  arrange(order: Row[], { sort, descending, columns, dense }: OverviewState): void {
    this.order = order;
    this.dense = dense;
    this.chosen = columns;
    this.sorted = { sort, descending };
    this.element.classList.toggle("dense", dense);
    this.element.classList.toggle("grouped", order.some(isGroup));
    this.fit();
    this.markSorted();
    this.element.setAttribute("aria-rowcount", String(order.length + 1));
    this.troubled = order.map(needy);
    this.layOut();
  }

  /** Finds out where each row begins. */
  private layOut(): void {
    this.tops = [0];
    for (const height of this.heights.of(this.order, this.dense)) {
      this.tops.push((this.tops.at(-1) as number) + height);
    }
    this.rows.style.height = `${this.tops.at(-1)}px`;
  }

  draw(): void {
    const { scrollTop, clientHeight } = this.scroll;
    const first = Math.max(0, this.at(scrollTop) - SPARE);
    const bottom = scrollTop + (clientHeight || FALLBACK_HEIGHT);
    const last = Math.min(this.order.length, this.at(bottom) + 1 + SPARE);
    while (this.places.length < last - first) {
      const place = new Place(this.columns, this.history, this.on);
      this.places.push(place);
      this.rows.append(place.element);
    }
    // A row keeps its place while it is in sight, and with it the keyboard's focus.
    const count = this.places.length;
    const used = new Set<Place>();
    for (let index = first; index < last; index += 1) {
      const place = this.places[index % count] as Place;
      used.add(place);
      const [top, troubled] = [this.tops[index] as number, this.troubled[index] === true];
      const height = (this.tops[index + 1] as number) - top;
      place.show(this.order[index], top, index, troubled, height);
    }
    for (const place of this.places) if (!used.has(place)) place.show(undefined, 0, 0, false, 0);
  }

  /** The row at a height. */
  private at(height: number): number {
    let [low, high] = [0, this.order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.tops[middle + 1] as number) <= height) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Chooses the columns for which there is room. */
  private fit(): void {
    const room = (this.scroll.clientWidth || this.element.clientWidth) - PADDING;
    if (room <= 0) return;
    const columns = fitting(this.chosen, room);
    this.element.style.setProperty("--columns", template(columns, room));
    const same = columns.join() === this.columns.join() && isNarrow(room) === isNarrow(this.room);
    this.room = room;
    if (same) return;
    this.columns = columns;
    this.heads.clear();
    this.head.replaceChildren(...columns.map((column) => this.headOf(column)));
    this.markSorted();
    this.places = [];
    this.rows.replaceChildren();
  }

  private markSorted(): void {
    const { sort, descending } = this.sorted;
    for (const [name, cell] of this.heads) {
      const direction = descending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", name === sort ? direction : "none");
    }
  }

  private headOf(column: Column): HTMLElement {
    const figure = column !== "client" && sortable(column);
    const cell = element("span", { role: "columnheader", class: figure ? "figure" : "" });
    const { head, title } = headOf(column, this.room);
    if (title) cell.title = title;
    if (!sortable(column)) {
      cell.append(head);
      return cell;
    }
    const control = button(head, "", () => this.sort(column));
    control.dataset.sort = column;
    cell.append(control);
    this.heads.set(column, cell);
    return cell;
  }

  /** Up and down go from client to client, over the edge too. */
  private pressed(event: KeyboardEvent): void {
    const at = (event.target as Element).closest(".row");
    if (!at) return;
    const index = Number(at.getAttribute("aria-rowindex")) - 2;
    const last = this.order.length - 1;
    const row = this.order[index];
    const turned = { ArrowLeft: false, ArrowRight: true }[event.key];
    if (row && isGroup(row) && turned !== undefined && turned !== row.group.open) {
      this.on.turn(row.group.tag[1]);
      return;
    }
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.goTo(Math.min(last, Math.max(0, next)));
  }

  private goTo(index: number): void {
    const [top, bottom] = [this.tops[index] as number, this.tops[index + 1] as number];
    const { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroll.scrollTop = bottom - clientHeight;
    this.draw();
    this.places[index % this.places.length]?.title.focus({ preventScroll: true });
  }
}
