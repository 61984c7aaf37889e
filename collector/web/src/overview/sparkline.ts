// The last minute of a client, small: received above the middle, transmitted below.

import { DIRECTIONS } from "../api";
import { now } from "../presence";
import { color } from "../theme";
import { type Row, WINDOW } from "./rows";

export function sparkline(canvas: HTMLCanvasElement, { recent, second }: Row): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const most = recent.reduce((a, b) => Math.max(a, b), 1);
  const newest = Math.floor(now() / 1000);
  const step = width / WINDOW;
  const middle = height / 2;
  for (let age = 0; age < WINDOW; age += 1) {
    const at = newest - age;
    if (at > second || at <= second - WINDOW) continue;
    DIRECTIONS.forEach((direction, index) => {
      const rate = recent[2 * (at % WINDOW) + index] ?? -1;
      if (rate < 0) return;
      context.fillStyle = color(direction);
      const size = Math.max(1, (rate / most) * middle);
      context.fillRect(width - (age + 1) * step, index === 0 ? middle - size : middle, step, size);
    });
  }
}
