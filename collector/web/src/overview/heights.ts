// Heights of the overview's rows. Marks that are longer than a line go on in the next.

import { element } from "../dom";
import { needy, type Row } from "./rows";

/** Heights of a row where all is well, and of any where as many as possible are wanted; pixels. */
const QUIET = 30;
const DENSE = 18;
/** Height of a row beside its marks, and of marks that take one line. */
const BESIDE = 32;
const LINE = 22;
/** At most the width of a letter, and what a mark takes beside its text. */
const LETTER = 12;
const PILL = 26;
/** At most what is left free beside marks. */
const INSET = 50;
/** Texts whose heights are kept: more than a fleet has at a time. */
const KEPT = 5000;

/** Whether marks may need more than one line. */
const isLong = ({ marks }: Row, width: number): boolean =>
  marks.reduce((sum, { text }) => sum + LETTER * text.length + PILL, 0) > width;

export class RowHeights {
  private readonly ruler = element("div", { class: "ruler", "aria-hidden": "true" });
  /** Of marks by their texts, for one width. */
  private readonly known = new Map<string, number>();
  private width = 0;

  /** `rows`: where the rows are. */
  constructor(private readonly rows: HTMLElement) {}

  of(order: readonly Row[], dense: boolean): number[] {
    if (dense) return order.map(() => DENSE);
    const width = this.rows.clientWidth;
    if (width !== this.width || this.known.size > KEPT) this.known.clear();
    this.width = width;
    const long = new Set(order.filter((row) => needy(row) && isLong(row, width - INSET)));
    this.measure([...long]);
    return order.map((row) => {
      if (!needy(row)) return QUIET;
      return BESIDE + (long.has(row) ? (this.known.get(keyOf(row)) ?? LINE) : LINE);
    });
  }

  /** Draws what isn't known all at once, so that the page is laid out once. */
  private measure(rows: readonly Row[]): void {
    const news = new Map(rows.map((row) => [keyOf(row), row]));
    for (const key of this.known.keys()) news.delete(key);
    if (news.size === 0) return;
    const drawn = [...news].map(([key, { marks }]) => {
      const pills = marks.map(({ text }) => element("span", { class: "mark" }, text));
      return { key, place: element("div", { class: "marks" }, ...pills) };
    });
    this.ruler.replaceChildren(...drawn.map(({ place }) => place));
    this.rows.append(this.ruler);
    for (const { key, place } of drawn) this.known.set(key, place.offsetHeight);
    this.ruler.remove();
  }
}

const keyOf = ({ marks }: Row): string => marks.map(({ text }) => text).join("\n");
