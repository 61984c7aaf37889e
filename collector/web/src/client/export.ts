// What is shown, to take away.

import type { Direction, Point } from "../api";
import { element, save } from "../dom";
import { t } from "../i18n";
import type { Points } from "../points";
import { color } from "../theme";
import { fromTo } from "../time";

const COLUMNS = ["bytes", "packets", "captured", "peak_1ms_bytes", "peak_10ms_bytes"] as const;

/** The points in sight, one line each, in the units of the API. */
export function csv(name: string, points: Points): void {
  const cells = (point: Point, direction: Direction) =>
    COLUMNS.map((column) => point[direction][column]);
  const names = (direction: Direction) => COLUMNS.map((column) => `${direction}_${column}`);
  const lines = points.all.map((point) =>
    [
      point.time,
      point.interval_ns,
      ...cells(point, "rx"),
      ...cells(point, "tx"),
      point.drops,
      point.flags.join(" "),
    ].join(","),
  );
  const head = ["time", "interval_ns", ...names("rx"), ...names("tx"), "drops", "flags"].join(",");
  save(`${name}.csv`, new Blob([[head, ...lines].join("\n"), "\n"], { type: "text/csv" }));
}

/** The chart as a picture that says what it shows. */
export function png(
  name: string,
  canvas: HTMLCanvasElement,
  title: string,
  [from, to]: readonly [number, number],
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
    [`▲ ${t("rx")}`, "rx"],
    [`▼ ${t("tx")}`, "tx"],
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
