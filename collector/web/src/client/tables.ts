// Tables with a column for each direction.

import { DIRECTIONS, type Direction } from "../api";
import { element } from "../dom";
import { t } from "../i18n";
import * as units from "../units";

export type Cells = Record<Direction, string>;

export const both = (cell: (direction: Direction) => string): Cells => ({
  rx: cell("rx"),
  tx: cell("tx"),
});

export function table(caption: string, rows: [string, Cells][]): HTMLTableElement {
  const heads = DIRECTIONS.map((direction) =>
    element("th", { scope: "col", class: direction }, t(direction)),
  );
  const body = rows.map(([name, cells]) => {
    const figures = DIRECTIONS.map((direction) => element("td", {}, cells[direction]));
    return element("tr", {}, element("th", { scope: "row" }, name), ...figures);
  });
  const head = element("thead", {}, element("tr", {}, element("td"), ...heads));
  const title = element("caption", {}, caption);
  return element("table", {}, title, head, element("tbody", {}, ...body));
}

/** A row whose one figure belongs to both directions. */
export function common(name: string, figure: string, kind = ""): HTMLTableRowElement {
  const cell = element("td", { colspan: "2", class: kind }, figure);
  return element("tr", {}, element("th", { scope: "row" }, name), cell);
}

export type Parts = Record<Direction, number>;

/** Rows of shares with a bar for each direction. `amount`: a part as text. */
export function shares(
  caption: string,
  rows: [string, Parts][],
  amount: (part: number) => string,
): HTMLElement {
  const sum = (direction: Direction) => rows.reduce((all, [, part]) => all + part[direction], 0);
  const whole = { rx: sum("rx"), tx: sum("tx") };
  const cells = rows.map(([name, parts]): [string, Cells] => [
    name,
    both((direction) => units.share(parts[direction], whole[direction])),
  ]);
  const made = table(caption, cells);
  made.classList.add("shares");
  rows.forEach(([, parts], index) => {
    DIRECTIONS.forEach((direction, column) => {
      const cell = made.tBodies[0]?.rows[index]?.cells[column + 1];
      if (!cell) return;
      const bar = element("i", { class: `bar ${direction}`, "aria-hidden": "true" });
      const share = whole[direction] > 0 ? parts[direction] / whole[direction] : 0;
      bar.style.width = `${100 * share}%`;
      cell.title = amount(parts[direction]);
      cell.prepend(bar);
    });
  });
  return made;
}
