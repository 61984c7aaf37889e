// What a range comes to, and one point of it exactly.

import { DIRECTIONS, type Direction, type Point } from "../api";
import { element } from "../dom";
import { t } from "../i18n";
import { end, type Points, peak, rate, start, sums } from "../points";
import { clock, moment, offsetName } from "../time";
import * as units from "../units";
import { both, type Cells, common, table } from "./tables";

const meanSize = (bytes: number, packets: number): string =>
  packets > 0 ? `${(bytes / packets).toFixed(0)} B` : "–";

/** The figures of all points in sight. `averaged`: length of the averages that the percentile is
 *  of; `together`: the percentile of all NICs of the client. No percentile: it is not known. */
export function figures(
  points: Points,
  p95: Record<Direction, number> | null,
  averaged: string,
  together: Record<Direction, number> | null,
): HTMLElement {
  if (points.length === 0) return element("p", { class: "note" }, t("noData"));
  const seconds = points.all.reduce((sum, point) => sum + point.interval_ns / 1e9, 0);
  const drops = points.all.reduce((sum, point) => sum + point.drops, 0);
  const sum = { rx: sums(points, "rx"), tx: sums(points, "tx") };
  type Of = (direction: Direction) => string;
  const size: Of = (direction) => meanSize(sum[direction].bytes, sum[direction].packets);
  const ofRange =
    (p95: Record<Direction, number>): Of =>
    (direction) =>
      units.rate(p95[direction]);
  const rows: [string, Cells][] = [
    [t("mean"), both((direction) => units.rate(sum[direction].bytes / seconds))],
    [t("highest"), both((direction) => units.rate(sum[direction].highest))],
    [t("peak"), both((direction) => units.rate(sum[direction].peak))],
    ...(p95 ? [[t("percentile", averaged), both(ofRange(p95))] as [string, Cells]] : []),
    ...(together ? [[t("percentileOfAll"), both(ofRange(together))] as [string, Cells]] : []),
    [t("meanSize"), both(size)],
    [t("packetRate"), both((direction) => units.count(sum[direction].packets / seconds))],
    [t("total"), both((direction) => units.bytes(sum[direction].bytes))],
  ];
  const made = table(t("figures"), rows);
  made.tBodies[0]?.append(
    common(t("lostPackets"), units.exact(drops), drops > 0 ? "bad" : ""),
    common(t("measured"), units.span(seconds * 1000)),
  );
  return made;
}

function exact(point: Point, direction: Direction): string {
  const { bytes, packets, captured } = point[direction];
  const parts = [
    units.rate(rate(point, direction)),
    `${t("peak")} ${units.rate(peak(point, direction))}`,
    `${units.exact(bytes)} B`,
    `${units.exact(packets)} ${t("packets")}`,
    t("each", meanSize(bytes, packets)),
    t("captured", units.exact(captured)),
  ];
  return parts.join(" · ");
}

/** What is to be known of a point besides its figures. `step`: for how long it should have been
 *  measured, milliseconds; 0: for as long as it was. */
function remarks(point: Point | undefined, step: number): HTMLElement[] {
  const list: HTMLElement[] = [];
  const measured = (point?.interval_ns ?? 0) / 1e6;
  if (point && measured < step) {
    const text = t("partly", units.span(measured), units.span(step));
    list.push(element("span", { class: "warn" }, text));
  }
  if (point && point.drops > 0) {
    list.push(element("span", { class: "bad" }, t("lostOf", units.exact(point.drops))));
  }
  if (point && point.flags.length > 0) {
    const flags = point.flags.join(", ").replaceAll("_", " ");
    list.push(element("span", { class: "warn" }, flags));
  }
  return [...list, element("span", { class: "note" }, t("wire"))];
}

/** The point at a time, exactly. */
export function readout(points: Points, time: number | null, step = 0): HTMLElement {
  const index = time === null ? null : points.at(time, step);
  const point = index === null ? undefined : points.all[index];
  const fine = step > 0 ? 1000 : 1;
  const ends = point ? Math.max(end(point), start(point) + step) : 0;
  const when = point
    ? `${moment(Date.parse(point.time), fine)} – ${clock(ends, fine)} ${offsetName(ends)}`
    : t("hover");
  const spaced = remarks(point, step).flatMap((remark) => [" ", remark]);
  const lines = DIRECTIONS.map((direction) => {
    const name = element("b", { class: direction }, t(direction));
    const figures = point ? exact(point, direction) : "–";
    return element("p", { "data-direction": direction }, name, " ", figures);
  });
  const at = index === null ? {} : { "data-time": String(points.starts[index]) };
  return element("div", at, element("p", {}, when, ...spaced), ...lines);
}
