// What is drawn over and under the curves: gaps, losses, levels, and signs of events.

import type uPlot from "uplot";
import { DIRECTIONS, type Direction } from "../api";
import { end } from "../points";
import { color } from "../theme";
import * as units from "../units";
import { type Shown, unmeasured } from "./shown";
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
  ctx.restore();
}

function losses(plot: uPlot, { points }: Shown): void {
  const { ctx, bbox } = plot;
  ctx.fillStyle = `${color("bad")}55`;
  points.all.forEach((point, index) => {
    if (point.drops === 0) return;
    const left = xOf(plot, points.starts[index] as number);
    const right = xOf(plot, end(point));
    ctx.fillRect(left, bbox.top, Math.max(2 * devicePixelRatio, right - left), bbox.height);
  });
}

function horizontal({ ctx, bbox }: uPlot, y: number): void {
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
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
  const [x, below] = [bbox.left + bbox.width - 6 * scale, y + (sign > 0 ? -5 : 13) * scale];
  ctx.setLineDash([]);
  ctx.strokeStyle = color("surface");
  ctx.lineWidth = 3 * scale;
  ctx.strokeText(name, x, below);
  ctx.lineWidth = scale;
  ctx.fillText(name, x, below);
}

function signs(plot: uPlot, { events }: Shown): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.textAlign = "center";
  ctx.font = `${13 * scale}px system-ui, sans-serif`;
  for (const happening of events) {
    const { time, interval_ns } = happening;
    const [sign, name] = signOf(happening);
    ctx.fillStyle = color(name);
    ctx.fillText(sign, xOf(plot, Date.parse(time) + interval_ns / 2e6), bbox.top + 13 * scale);
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
  signs(plot, shown);
  ctx.restore();
}
