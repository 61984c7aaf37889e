// The mirrored chart: received above, transmitted below; gaps stay gaps, loss is drawn where it was.

import uPlot from "uplot";
import { DIRECTIONS, type Happening } from "./api";
import { color } from "./dom";
import { end, peak, rate, type Points } from "./points";
import * as units from "./units";

const HEIGHT = 380;

type Column = (number | null)[];

export interface Shown {
  points: Points; from: number; to: number; gap: number; peaks: boolean;
  /** Up to this rate, in the unit shown, the scale is linear, past it logarithmic; 0: linear throughout. */
  bend: number;
  p95: { rx: number; tx: number }; events: Happening[]; speed: number;
}

/** Points as uPlot wants them, in the unit that is shown: steps, broken where nothing was measured. */
function columns({ points, gap, peaks }: Shown): [number[], Column, Column, Column, Column] {
  const data: [number[], Column, Column, Column, Column] = [[], [], [], [], []];
  const unit = units.perByte();
  const push = (time: number, values: Column) => {
    data[0].push(time / 1000);
    values.forEach((value, column) => (data[column + 1] as Column).push(value));
  };
  points.all.forEach((point, index) => {
    const high = peaks ? [peak(point, "rx") * unit, -peak(point, "tx") * unit] : [null, null];
    const values = [rate(point, "rx") * unit, high[0] ?? null, -rate(point, "tx") * unit, high[1] ?? null];
    push(points.starts[index] as number, values);
    const next = points.starts[index + 1];
    if (next === undefined || next - end(point) > gap) {
      push(end(point), values);
      push(end(point) + 0.01, [null, null, null, null]);
    }
  });
  return data;
}

/** Ticks of a bent scale: 0 and round rates on both sides, as many as there is room for. */
function bentTicks(bend: number, low: number, high: number): number[] {
  const decades = Math.log10(Math.max(-low, high) / bend);
  const steps = decades < 2.2 ? [1, 2, 5] : decades < 3.6 ? [1, 5] : [1];
  const ticks = [0];
  for (let base = bend; base <= Math.max(-low, high); base *= 10) ticks.push(...steps.map((step) => step * base));
  return [...ticks.slice(1).map((tick) => -tick).reverse(), ...ticks].filter((tick) => tick >= low && tick <= high);
}

/** Marks of what happened: the colour tells how bad it is. */
export const SIGNS: Record<Happening["kind"], [string, string]> = {
  lost: ["✕", "bad"], gap: ["▨", "bad"], link_down: ["▼", "bad"], link_up: ["▲", "good"],
  started: ["▶", "text"], clock_step: ["◷", "warn"], capture: ["◐", "quiet"],
};

export interface Chart {
  show: (shown: Shown) => void;
  point: (time: number | null) => void;
  canvas: HTMLCanvasElement;
  destroy: () => void;
}

export function makeChart(place: HTMLElement, first: Shown, on: { zoom: (from: number, to: number) => void; hover: (time: number | null) => void }): Chart {
  let shown = first;
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  const axis = { stroke: () => color("quiet"), grid: { stroke: () => color("line"), width: 1 }, ticks: { stroke: () => color("line") }, font: "12px system-ui, sans-serif" };
  const line = (direction: string, peak: boolean): uPlot.Series => ({
    stroke: () => (peak ? "transparent" : color(direction)), width: peak ? 0 : 1.5,
    ...(stepped ? { paths: stepped } : {}), points: { show: false }, spanGaps: false,
  });
  const times = (self: uPlot, ticks: number[], _: number, __: number, step: number): string[] => {
    let before = "";
    return ticks.map((tick) => {
      const date = units.day(tick * 1000);
      const head = date !== before;
      before = date;
      if (step >= 86_400) return date;
      const clock = units.clock(tick * 1000, step * 1000);
      return head && (self.scales.x?.max ?? 0) - (self.scales.x?.min ?? 0) > 3600 * 6 ? `${clock}\n${date}` : clock;
    });
  };
  function limits(_: uPlot, low: number | null, high: number | null): [number, number] {
    const unit = units.perByte();
    const most = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0), shown.p95.rx * unit, shown.p95.tx * unit, 1000);
    // Each direction has as much room as it needs, but is never pressed flat by the other.
    const room = (reached: number) => Math.max(reached, most / 4) * (shown.bend > 0 ? 1.5 : 1.08);
    return [-room(Math.abs(Math.min(low ?? 0, 0))), room(Math.max(high ?? 0, 0))];
  }
  const options = (): uPlot.Options => ({
    width: Math.max(300, place.clientWidth), height: HEIGHT, legend: { show: false }, padding: [10, 26, 0, 0],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
    scales: { x: { time: true, range: () => [shown.from / 1000, shown.to / 1000] }, y: { distr: shown.bend > 0 ? 4 : 1, asinh: shown.bend, range: limits } },
    axes: [{ ...axis, values: times, space: 70 }, {
      ...axis, size: 84, values: (_, ticks) => ticks.map(units.inUnit), filter: (_, ticks) => ticks,
      ...(shown.bend > 0 ? { splits: (_: uPlot, __: number, low: number, high: number) => bentTicks(shown.bend, low, high) } : {}),
    }],
    series: [{}, line("rx", false), line("rx", true), line("tx", false), line("tx", true)],
    bands: [{ series: [2, 1], fill: () => `${color("rx")}40`, dir: -1 }, { series: [4, 3], fill: () => `${color("tx")}40`, dir: 1 }],
    hooks: {
      setSelect: [(self) => {
        const { left, width } = self.select;
        if (width < 4) return;
        self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        on.zoom(self.posToVal(left, "x") * 1000, self.posToVal(left + width, "x") * 1000);
      }],
      setCursor: [(self) => { if (!pointing) on.hover(self.cursor.left == null || self.cursor.left < 0 ? null : self.posToVal(self.cursor.left, "x") * 1000); }],
      drawClear: [unmeasured],
      draw: [marks],
    },
  });
  let pointing = false;

  /** Shades what no point covers. */
  function unmeasured(self: uPlot): void {
    const { ctx, bbox } = self;
    ctx.save();
    ctx.fillStyle = color("unmeasured");
    const shade = (from: number, to: number) => {
      const left = Math.max(bbox.left, self.valToPos(from / 1000, "x", true));
      const right = Math.min(bbox.left + bbox.width, self.valToPos(to / 1000, "x", true));
      if (right - left >= 1) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    };
    let covered = shown.from;
    shown.points.all.forEach((point, index) => {
      const begins = shown.points.starts[index] as number;
      if (begins - covered > shown.gap) shade(covered, begins);
      covered = end(point);
    });
    // What is not here yet is no gap.
    if (shown.points.length === 0 || shown.to - covered > Math.max(5000, 5 * shown.gap)) shade(covered, shown.to);
    ctx.restore();
  }

  function marks(self: uPlot): void {
    const { ctx, bbox } = self;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = `${color("bad")}55`;
    shown.points.all.forEach((point, index) => {
      if (point.drops === 0) return;
      const left = self.valToPos((shown.points.starts[index] as number) / 1000, "x", true);
      const right = self.valToPos(end(point) / 1000, "x", true);
      ctx.fillRect(left, bbox.top, Math.max(2 * scale, right - left), bbox.height);
    });
    const zero = self.valToPos(0, "y", true);
    ctx.strokeStyle = color("quiet");
    ctx.lineWidth = scale;
    ctx.beginPath();
    ctx.moveTo(bbox.left, zero);
    ctx.lineTo(bbox.left + bbox.width, zero);
    ctx.stroke();
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    DIRECTIONS.forEach((direction, index) => {
      const sign = index === 0 ? 1 : -1;
      const level = (value: number, dash: number[], text: string) => {
        const y = self.valToPos(sign * value * units.perByte(), "y", true);
        if (y < bbox.top || y > bbox.top + bbox.height) return;
        ctx.setLineDash(dash.map((length) => length * scale));
        ctx.strokeStyle = ctx.fillStyle = color(direction);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const [x, below] = [bbox.left + bbox.width - 6 * scale, y + (sign > 0 ? -5 : 13) * scale];
        ctx.setLineDash([]);
        ctx.strokeStyle = color("surface");
        ctx.lineWidth = 3 * scale;
        ctx.strokeText(text, x, below);
        ctx.lineWidth = scale;
        ctx.fillText(text, x, below);
      };
      if (shown.p95[direction] > 0) level(shown.p95[direction], [6, 4], `p95 ${units.rate(shown.p95[direction])}`);
      if (shown.speed > 0) level(shown.speed / 8, [2, 3], units.speed(shown.speed));
    });
    ctx.setLineDash([]);
    ctx.textAlign = "center";
    ctx.font = `${13 * scale}px system-ui, sans-serif`;
    for (const happening of shown.events) {
      const [sign, kind] = SIGNS[happening.kind];
      const x = self.valToPos((Date.parse(happening.time) + happening.interval_ns / 2e6) / 1000, "x", true);
      ctx.fillStyle = color(kind);
      ctx.fillText(sign, x, bbox.top + 13 * scale);
    }
    ctx.restore();
  }

  let plot = new uPlot(options(), columns(shown), place);
  const fit = new ResizeObserver(() => plot.setSize({ width: Math.max(300, place.clientWidth), height: HEIGHT }));
  fit.observe(place);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => plot.redraw(false);
  dark.addEventListener("change", repaint);
  return {
    show(next: Shown): void {
      const { bend } = shown;
      shown = next;
      if (bend === next.bend) plot.setData(columns(next));
      else { plot.destroy(); plot = new uPlot(options(), columns(next), place); }
    },
    /** Puts the cursor to a time. */
    point(time: number | null): void {
      pointing = true;
      const left = time === null ? -10 : plot.valToPos(time / 1000, "x");
      plot.setCursor({ left, top: time === null ? -10 : 10 }, false);
      pointing = false;
    },
    get canvas() { return plot.ctx.canvas; },
    destroy(): void { fit.disconnect(); dark.removeEventListener("change", repaint); plot.destroy(); },
  };
}
