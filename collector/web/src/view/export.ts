// What is shown, to take away.

import type { Direction, Point } from "../api";
import { element, save } from "../dom";
import { t } from "../i18n";
import type { Points } from "../points";
import { color } from "../theme";
import { fromTo } from "../time";

const COLUMNS = ["bytes", "packets", "captured", "peak_1ms_bytes", "peak_10ms_bytes"] as const;

const names = (direction: Direction) => COLUMNS.map((column) => `${direction}_${column}`);
const HEAD = ["time", "interval_ns", ...names("rx"), ...names("tx"), "drops", "flags"];

function cells(point: Point): string[] {
  const of = (direction: Direction) => COLUMNS.map((column) => String(point[direction][column]));
  const { time, interval_ns, drops, flags } = point;
  return [time, String(interval_ns), ...of("rx"), ...of("tx"), String(drops), flags.join(" ")];
}

function saveCsv(name: string, lines: readonly string[][]): void {
  const text = lines.map((line) => `${line.join(",")}\n`);
  save(`${name}.csv`, new Blob(text, { type: "text/csv" }));
}

/** The points in sight, one line each, in the units of the API. */
export function csv(name: string, points: Points): void {
  saveCsv(name, [HEAD, ...points.all.map(cells)]);
}

/** The points of several, each with the path of its page, which is safe to write. */
export function csvOfAll(name: string, all: readonly { path: string; points: Points }[]): void {
  const lines = all.flatMap(({ path, points }) =>
    points.all.map((point) => [path, ...cells(point)]),
  );
  saveCsv(name, [["of", ...HEAD], ...lines]);
}

/** A text of a legend, and the name of its colour. */
export type Entry = readonly [text: string, color: string];

/** What is drawn of one NIC or group. */
export const directions = (): Entry[] => [
  [`▲ ${t("rx")}`, "rx"],
  [`▼ ${t("tx")}`, "tx"],
];

/** The chart as a picture that says what it shows. */
export function png(
  name: string,
  canvas: HTMLCanvasElement,
  title: string,
  [from, to]: readonly [number, number],
  entries: readonly Entry[],
): void {
  const scale = devicePixelRatio;
  const head = 44 * scale;
  const copy = element("canvas", {
    width: String(canvas.width),
    height: String(canvas.height + head),
  });
  const context = copy.getContext("2d");
  if (!context) return;
  context.fillStyle = color("surface");
  context.fillRect(0, 0, copy.width, copy.height);
  context.fillStyle = color("text");
  context.font = `600 ${14 * scale}px system-ui, sans-serif`;
  context.fillText(title, 12 * scale, 18 * scale);
  context.font = `${12 * scale}px system-ui, sans-serif`;
  let left = 12 * scale;
  for (const [text, kind] of [
    [fromTo(from, to), "quiet"],
    ...entries,
    [t("wire"), "quiet"],
  ] as const) {
    context.fillStyle = color(kind);
    context.fillText(text, left, 36 * scale);
    left += context.measureText(text).width + 14 * scale;
  }
  context.drawImage(canvas, 0, head);
  copy.toBlob((blob) => {
    if (blob) save(`${name}.png`, blob);
  });
}
