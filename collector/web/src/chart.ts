// The mirrored chart: received above, transmitted below; gaps stay gaps, loss is drawn where it was.

import uPlot from "uplot";
import type { Point } from "./api";
import { color } from "./dom";
import * as units from "./units";

type Values = (number | null)[];

/** Points as uPlot wants them: steps, broken where nothing was measured. */
export function columns(points: Point[], gap: number): [number[], Values, Values, Values, Values] {
  const data: [number[], Values, Values, Values, Values] = [[], [], [], [], []];
  const [times, rx, rxPeak, tx, txPeak] = data;
  const push = (time: number, values: (number | null)[]) => {
    times.push(time / 1000);
    [rx, rxPeak, tx, txPeak].forEach((column, index) => column.push(values[index] ?? null));
  };
  points.forEach((point, index) => {
    const start = Date.parse(point.time);
    const next = points[index + 1];
    const length = point.interval_ns / 1e6;
    const rate = (bytes: number) => (bytes / length) * 1000;
    push(start, [rate(point.rx.bytes), point.rx.peak_1ms_bytes * 1000, -rate(point.tx.bytes), -point.tx.peak_1ms_bytes * 1000]);
    const end = start + length;
    if (!next || Date.parse(next.time) - end > gap) push(end, [null, null, null, null]);
  });
  return data;
}

/** The 95th percentile of rates, by the nearest rank. */
export function percentile(points: Point[], direction: "rx" | "tx"): number {
  const rates = points.map((point) => (point[direction].bytes / point.interval_ns) * 1e9).sort((a, b) => a - b);
  return rates[Math.max(0, Math.ceil(rates.length * 0.95) - 1)] ?? 0;
}

export interface Shown { points: Point[]; from: number; to: number; gap: number; peaks: boolean; p95: { rx: number; tx: number } }

export function makeChart(place: HTMLElement, zoom: (from: number, to: number) => void, hover: (time: number | null) => void) {
  let shown: Shown = { points: [], from: 0, to: 1, gap: 0, peaks: true, p95: { rx: 0, tx: 0 } };
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  const axis = { stroke: () => color("quiet"), grid: { stroke: () => color("line") }, ticks: { stroke: () => color("line") } };
  const line = (direction: string, peak: boolean): uPlot.Series => ({
    stroke: () => color(direction), width: peak ? 0.5 : 1.5, ...(stepped ? { paths: stepped } : {}), points: { show: false }, spanGaps: false,
  });
  const plot = new uPlot({
    width: 800, height: 340, legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: true, range: () => [shown.from / 1000, shown.to / 1000] } },
    axes: [axis, { ...axis, size: 90, values: (_, ticks) => ticks.map((tick) => units.rate(tick)) }],
    series: [{}, line("rx", false), line("rx", true), line("tx", false), line("tx", true)],
    bands: [{ series: [2, 1], fill: () => `${color("rx")}33`, dir: -1 }, { series: [4, 3], fill: () => `${color("tx")}33`, dir: 1 }],
    hooks: {
      setSelect: [(self) => {
        const { left, width } = self.select;
        if (width < 4) return;
        zoom(self.posToVal(left, "x") * 1000, self.posToVal(left + width, "x") * 1000);
        self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      setCursor: [(self) => hover(self.cursor.idx == null ? null : self.posToVal(self.cursor.left ?? 0, "x") * 1000)],
      draw: [drawMarks],
    },
  }, [[], [], [], [], []], place);

  function drawMarks(self: uPlot): void {
    const { ctx, bbox } = self;
    ctx.save();
    ctx.fillStyle = `${color("bad")}66`;
    for (const point of shown.points) {
      if (point.drops === 0) continue;
      const start = Date.parse(point.time) / 1000;
      const left = self.valToPos(start, "x", true);
      const right = self.valToPos(start + point.interval_ns / 1e9, "x", true);
      if (right < bbox.left || left > bbox.left + bbox.width) continue;
      ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    }
    ctx.setLineDash([6, 4]);
    for (const [direction, sign] of [["rx", 1], ["tx", -1]] as const) {
      const y = self.valToPos(sign * shown.p95[direction], "y", true);
      ctx.strokeStyle = color(direction);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  const fit = new ResizeObserver(() => plot.setSize({ width: Math.max(320, place.clientWidth), height: 340 }));
  fit.observe(place);
  return {
    show(next: Shown): void {
      shown = next;
      plot.setSeries(2, { show: next.peaks }, false);
      plot.setSeries(4, { show: next.peaks }, false);
      plot.setData(columns(next.points, next.gap));
    },
    canvas: plot.ctx.canvas,
    destroy(): void { fit.disconnect(); plot.destroy(); },
  };
}
