// What is compared, in figures, with the key to the lines.

import { type Look, subjectAddress } from "../address";
import { DIRECTIONS, type Direction } from "../api";
import { button, element } from "../dom";
import { t } from "../i18n";
import { end, rate, sums } from "../points";
import { clock, moment, offsetName } from "../time";
import * as units from "../units";
import { colorOf, DASHES, type Line } from "./lines";

const FIVE_MINUTES = 300_000;
const SVG = "http://www.w3.org/2000/svg";

/** A piece of a line, and its number. */
function sample(index: number): HTMLElement {
  const drawn = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "line");
  const about = { x1: "1", y1: "6", x2: "43", y2: "6", "stroke-width": "2.5" };
  for (const [name, value] of Object.entries(about)) line.setAttribute(name, value);
  line.setAttribute("stroke", `var(--${colorOf(index)})`);
  line.setAttribute("stroke-dasharray", (DASHES[index] ?? []).join(" "));
  drawn.setAttribute("viewBox", "0 0 44 12");
  drawn.setAttribute("aria-hidden", "true");
  drawn.append(line);
  const made = element("span", { class: "key" }, element("b", {}, String(index + 1)));
  made.append(drawn);
  return made;
}

/** The figures of a line that has points: of each direction mean, percentile, highest and peak, and how long
 *  it was measured. */
export function figuresOf({ points, p95 }: Line): string[] {
  const seconds = points.all.reduce((all, point) => all + point.interval_ns / 1e9, 0);
  const of = (direction: Direction): string[] => {
    const { bytes, highest, peak } = sums(points, direction);
    const billed = p95 ? units.rate(p95[direction]) : "–";
    return [units.rate(bytes / seconds), billed, units.rate(highest), units.rate(peak)];
  };
  return [...DIRECTIONS.flatMap(of), units.span(seconds * 1000)];
}

function cells(line: Line): HTMLElement[] {
  const { points, failed } = line;
  if (failed || points.length === 0) {
    const text = failed ? t("failed", failed) : t("noData");
    return [element("td", { colspan: "9", class: failed ? "bad" : "note" }, text)];
  }
  return figuresOf(line).map((figure) => element("td", {}, figure));
}

/** One row for each line. `leave`: takes one out. */
export function table(
  lines: readonly Line[],
  look: Look,
  leave: (index: number) => void,
): HTMLElement {
  const averaged = t("percentile", units.span(FIVE_MINUTES));
  const heads = DIRECTIONS.flatMap((direction) =>
    [t("mean"), t("p95"), t("highest"), t("peak")].map((text) => {
      const told = text === t("p95") ? { title: averaged } : {};
      return element("th", { scope: "col", class: direction, ...told }, text);
    }),
  );
  const groups = DIRECTIONS.map((direction) =>
    element("th", { scope: "colgroup", colspan: "4", class: direction }, t(direction)),
  );
  const measured = element("th", { scope: "col" }, t("measured"));
  const head = element(
    "thead",
    {},
    element("tr", {}, element("td"), ...groups, element("td")),
    element("tr", {}, element("td"), ...heads, measured),
  );
  const rows = lines.map((line, index) => {
    const { subject, name } = line;
    const link = element("a", { href: subjectAddress(subject, look) }, name);
    const out = button("✕", "", () => leave(index));
    out.setAttribute("aria-label", t("leaveOut", name));
    const title = element("th", { scope: "row" }, sample(index), " ", link, " ", out);
    return element("tr", { "data-line": String(index + 1) }, title, ...cells(line));
  });
  return element("table", {}, head, element("tbody", {}, ...rows));
}

/** All lines at a time. `step`: length of points, milliseconds; 0: each has its own. */
export function readout(lines: readonly Line[], time: number | null, step: number): HTMLElement {
  const at = lines.map(({ points }) => {
    const index = time === null ? null : points.at(time, step);
    return index === null ? undefined : points.all[index];
  });
  const fine = step > 0 ? 1000 : 1;
  const first = at.find((point) => point !== undefined);
  const when = first
    ? `${moment(Date.parse(first.time), fine)} – ${clock(ends(first, step), fine)} ${offsetName(end(first))}`
    : t("hover");
  const each = lines.map(({ name }, index) => {
    const point = at[index];
    const rates = DIRECTIONS.map((direction) =>
      element(
        "span",
        { class: direction },
        `${direction === "rx" ? "↓" : "↑"} ${point ? units.rate(rate(point, direction)) : "–"}`,
      ),
    );
    const number = element("b", {}, String(index + 1));
    return element("li", {}, number, ` ${name} `, ...rates);
  });
  const told = first ? { "data-time": first.time } : {};
  return element("div", told, element("p", {}, when), element("ol", { class: "values" }, ...each));
}

const ends = (point: { time: string; interval_ns: number }, step: number): number =>
  Date.parse(point.time) + Math.max(step, point.interval_ns / 1e6);
