// What is drawn over and under the curves: gaps, losses, levels, and signs of events.

import type uPlot from "uplot";
import { DIRECTIONS, type Direction } from "../api";
import { t } from "../i18n";
import { end } from "../points";
import { color } from "../theme";
import * as units from "../units";
import { lossOpacity, partly, type Shown, scaleOf, unmeasured } from "./shown";
import { signOf } from "./signs";

const xOf = (plot: uPlot, time: number): number => plot.valToPos(time / 1000, "x", true);

/** Shades what no point covers. */
export function shade(plot: uPlot, shown: Shown): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = color("unmeasured");
  for (const [from, to] of unmeasured(shown)) {
    const left = Math.max(bbox.left, xOf(plot, from));
    const right = Math.min(bbox.left + bbox.width, xOf(plot, to));
    if (right - left >= 1) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  for (const [from, to, lacks] of partly(shown)) {
    const left = Math.max(bbox.left, xOf(plot, from));
    const right = Math.min(bbox.left + bbox.width, xOf(plot, to));
    ctx.globalAlpha = lacks;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

function losses(plot: uPlot, { points }: Shown): void {
  const { ctx, bbox } = plot;
  ctx.fillStyle = color("bad");
  points.all.forEach((point, index) => {
    if (point.drops === 0) return;
    const left = xOf(plot, points.starts[index] as number);
    const right = xOf(plot, end(point));
    ctx.globalAlpha = lossOpacity(point.drops);
    ctx.fillRect(left, bbox.top, Math.max(2 * devicePixelRatio, right - left), bbox.height);
  });
  ctx.globalAlpha = 1;
}

function horizontal({ ctx, bbox }: uPlot, y: number): void {
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
}

/** Text that can be read on whatever lies below it. */
function outlined(ctx: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  ctx.strokeStyle = color("surface");
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.strokeText(text, x, y);
  ctx.lineWidth = devicePixelRatio;
  ctx.fillText(text, x, y);
}

/** A dashed line at a rate, bytes per second, with its name. */
function level(plot: uPlot, direction: Direction, rate: number, dash: number[], name: string) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const sign = direction === "rx" ? 1 : -1;
  const y = plot.valToPos(sign * rate * units.perByte(), "y", true);
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  ctx.setLineDash(dash.map((length) => length * scale));
  ctx.strokeStyle = color(direction);
  ctx.fillStyle = color(direction);
  horizontal(plot, y);
  ctx.setLineDash([]);
  // On the far side of the line, or on the near one where the edge would cut the name.
  const [over, under] = [y - 5 * scale, y + 13 * scale];
  const [far, near] = sign > 0 ? [over, under] : [under, over];
  const fits = far - 11 * scale > bbox.top && far + 2 * scale < bbox.top + bbox.height;
  outlined(ctx, name, bbox.left + bbox.width - 6 * scale, fits ? far : near);
}

/** Peaks that the scale cuts off: how high they are. */
function cutPeaks(plot: uPlot, shown: Shown): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const { cut } = scaleOf(shown, units.perByte());
  ctx.textAlign = "left";
  for (const direction of DIRECTIONS) {
    const peak = cut[direction];
    if (peak === undefined) continue;
    const up = direction === "rx";
    ctx.fillStyle = color(direction);
    const y = up ? bbox.top + 28 * scale : bbox.top + bbox.height - 6 * scale;
    const text = `${up ? "↑" : "↓"} ${t("peak")} ${units.rate(peak)}`;
    outlined(ctx, text, bbox.left + 8 * scale, y);
  }
}

/** Room that the sign of a loss takes together with its number, pixels. */
const SIGN_ROOM = 60;
/** Half of a sign alone. */
const SIGN_HALF = 7;

/** Signs of events; losses with how many packets they were, where there is room. */
function signs(plot: uPlot, { events }: Shown): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.textAlign = "center";
  ctx.font = `${13 * scale}px system-ui, sans-serif`;
  const right = bbox.left + bbox.width;
  let free = bbox.left;
  for (const happening of events) {
    const { time, interval_ns, packets } = happening;
    const [sign, name] = signOf(happening);
    const x = xOf(plot, Date.parse(time) + interval_ns / 2e6);
    if (x < bbox.left || x > right) continue;
    ctx.fillStyle = color(name);
    const half = (SIGN_ROOM / 2) * scale;
    const fits = x - half >= free && x + half <= right;
    const counted = fits && packets !== undefined;
    if (counted) free = x + half;
    const inside = Math.min(Math.max(x, bbox.left + SIGN_HALF * scale), right - SIGN_HALF * scale);
    const text = counted ? `${sign} ${units.count(packets)}` : sign;
    outlined(ctx, text, inside, bbox.top + 13 * scale);
  }
}

/** Draws all marks that lie over the curves. */
export function marks(plot: uPlot, shown: Shown): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  losses(plot, shown);
  ctx.strokeStyle = color("quiet");
  ctx.lineWidth = scale;
  horizontal(plot, plot.valToPos(0, "y", true));
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "right";
  for (const direction of DIRECTIONS) {
    const p95 = shown.p95[direction];
    if (p95 > 0) level(plot, direction, p95, [6, 4], `p95 ${units.rate(p95)}`);
    const { speed } = shown;
    if (speed > 0) level(plot, direction, speed / 8, [2, 3], units.speed(speed));
  }
  cutPeaks(plot, shown);
  signs(plot, shown);
  ctx.restore();
}
