// Lines in one chart, each with its colour, its dashes and its number at the end.

import type uPlot from "uplot";
import { type Drawing, type Lines, steps } from "../chart/drawing";
import { limits } from "../chart/scale";
import { color } from "../theme";
import * as units from "../units";
import { apart, colorOf, columns, DASHES, highest, type Line } from "./lines";

const WIDTH = 2;
/** Distance of numbers, and how far beside the end of the chart they are, pixels. */
const APART = 13;
const BESIDE = 5;

function linesOf(lines: readonly Line[]): Lines {
  const series = lines.flatMap((_, index) => {
    const line = steps(() => color(colorOf(index)), WIDTH, [...(DASHES[index] ?? [])]);
    return [line, line];
  });
  return { key: `lines ${lines.length}`, series, bands: [] };
}

/** The last value of a column, and where it is. */
function last(column: ArrayLike<number | null | undefined>): number | null {
  for (let index = column.length - 1; index >= 0; index -= 1) {
    const value = column[index];
    if (typeof value === "number") return value;
  }
  return null;
}

/** The number of each line at its end. */
function numbers(plot: uPlot): void {
  const { ctx, bbox, data } = plot;
  const scale = devicePixelRatio;
  const ends = data.slice(1).map((column, index) => {
    const value = last(column);
    return value === null ? null : { line: index >> 1, y: plot.valToPos(value, "y", true) };
  });
  ctx.font = `600 ${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  const [top, bottom] = [bbox.top, bbox.top + bbox.height];
  const shown = ends.filter((end) => end !== null);
  const places = apart(
    shown.map(({ y }) => y),
    APART * scale,
    top,
    bottom,
  );
  shown.forEach(({ line }, index) => {
    ctx.fillStyle = color(colorOf(line));
    ctx.fillText(String(line + 1), bbox.left + bbox.width + BESIDE * scale, places[index] ?? 0);
  });
}

function over(plot: uPlot): void {
  const { ctx, bbox } = plot;
  ctx.save();
  // The last line's dashes are still set.
  ctx.setLineDash([]);
  ctx.strokeStyle = color("quiet");
  ctx.lineWidth = devicePixelRatio;
  const zero = plot.valToPos(0, "y", true);
  ctx.beginPath();
  ctx.moveTo(bbox.left, zero);
  ctx.lineTo(bbox.left + bbox.width, zero);
  ctx.stroke();
  numbers(plot);
  ctx.restore();
}

/** `part`: the shortest part of the range that is looked at, milliseconds. */
export function drawing(
  lines: readonly Line[],
  [from, to]: readonly [number, number],
  { step, part, bend }: { step: number; part: number; bend: number },
): Drawing {
  const unit = units.perByte();
  const [rx, tx] = [highest(lines, "rx") * unit, highest(lines, "tx") * unit];
  return {
    ...{ from, to, bend, lines: linesOf(lines), over },
    data: columns(lines, step, part, unit) as uPlot.AlignedData,
    ends: limits(rx, tx, bend > 0),
    under: () => {},
  };
}
