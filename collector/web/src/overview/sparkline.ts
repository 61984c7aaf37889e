// The last hour, small: received above the middle, transmitted below, a line where packets were lost.

import { DIRECTIONS, type Minutes } from "../api";
import { color } from "../theme";
import { BAR, MINUTES, WIDTH } from "./history";

/** Draws minutes, and the rate of this moment at the end. `shift`: how many minutes have passed since
 *  they were told. */
export function sparkline(
  canvas: HTMLCanvasElement,
  height: number,
  minutes: Pick<Minutes, "rx" | "tx" | "lost"> | undefined,
  live: Record<"rx" | "tx", number> | null,
  shift: number,
): void {
  const scale = devicePixelRatio;
  const [width, tall] = [Math.round(WIDTH * scale), Math.round(height * scale)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== tall) canvas.height = tall;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, WIDTH, height);
  const middle = height / 2;
  const rates = (direction: "rx" | "tx"): (number | null)[] => {
    const shifted = (minutes?.[direction] ?? []).slice(shift);
    const all = [...new Array<null>(MINUTES - shift - shifted.length).fill(null), ...shifted];
    while (all.length < MINUTES) all.push(null);
    if (live) all[MINUTES - 1] = live[direction];
    return all;
  };
  const both = { rx: rates("rx"), tx: rates("tx") };
  const most = Math.max(1, ...[...both.rx, ...both.tx].map((rate) => rate ?? 0));
  for (const direction of DIRECTIONS) {
    context.fillStyle = color(direction);
    both[direction].forEach((rate, index) => {
      if (rate === null) return;
      const size = Math.max(1, (rate / most) * middle);
      context.fillRect(index * BAR, direction === "rx" ? middle - size : middle, BAR, size);
    });
  }
  context.fillStyle = color("bad");
  for (const [minute] of minutes?.lost ?? []) {
    if (minute >= shift) context.fillRect((minute - shift) * BAR, 0, BAR, height);
  }
}
