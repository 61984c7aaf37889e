// A chart over time: axes, zoom, what the pointer is at, and how large it is. A drawing is what it shows.

import uPlot from "uplot";
import { locale } from "../i18n";
import { color, onTheme } from "../theme";
import { shownZone, zoneName } from "../time";
import * as units from "../units";
import type { Drawing } from "./drawing";
import { bentTicks } from "./scale";
import { type Tick, ticks } from "./ticks";

const HEIGHT = 380;
const NARROWEST = 300;
/** What lies around a chart in full screen, pixels. */
const FULL_AIR = 10;
/** Room beside the chart for half of the last label. */
const RIGHT = 50;
/** A shorter drag is a click. */
const LEAST_DRAG = 4;

interface Handlers {
  /** A range was dragged over. */
  zoom: (from: number, to: number) => void;
  /** A time was clicked at. */
  pick: (time: number) => void;
  /** The pointer is at a time, or away. */
  hover: (time: number | null) => void;
}

export class Chart {
  private plot: uPlot;
  private pointing = false;
  private readonly fit: ResizeObserver;
  private readonly leaveTheme: () => void;
  private readonly resize = (): void =>
    this.plot.setSize({ width: this.width(), height: this.height() });

  constructor(
    private readonly place: HTMLElement,
    private shown: Drawing,
    private readonly on: Handlers,
  ) {
    this.plot = this.make();
    this.fit = new ResizeObserver(this.resize);
    this.fit.observe(place);
    // What comes back from full screen is as large as the chart in it still is.
    document.addEventListener("fullscreenchange", this.resize);
    this.leaveTheme = onTheme(() => this.plot.redraw(false));
  }

  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  show(next: Drawing): void {
    if (next === this.shown) return;
    const { bend, lines } = this.shown;
    this.shown = next;
    if (bend === next.bend && lines.key === next.lines.key) {
      this.plot.setData(next.data);
    } else {
      this.plot.destroy();
      this.plot = this.make();
    }
  }

  /** Puts the cursor to a time. */
  point(time: number): void {
    this.pointing = true;
    this.plot.setCursor({ left: this.plot.valToPos(time / 1000, "x"), top: 10 }, false);
    this.pointing = false;
  }

  destroy(): void {
    this.fit.disconnect();
    document.removeEventListener("fullscreenchange", this.resize);
    this.leaveTheme();
    this.plot.destroy();
  }

  private width(): number {
    return Math.max(NARROWEST, this.place.clientWidth);
  }

  private height(): number {
    const full = document.fullscreenElement?.contains(this.place) ?? false;
    return full ? Math.max(HEIGHT / 2, this.place.clientHeight - FULL_AIR) : HEIGHT;
  }

  private make(): uPlot {
    const plot = new uPlot(this.options(), this.shown.data, this.place);
    let pressed = 0;
    plot.over.addEventListener("pointerdown", ({ clientX }) => {
      pressed = clientX;
    });
    plot.over.addEventListener("click", ({ clientX }) => {
      if (Math.abs(clientX - pressed) >= LEAST_DRAG) return;
      const left = clientX - plot.over.getBoundingClientRect().left;
      this.on.pick(plot.posToVal(left, "x") * 1000);
    });
    return plot;
  }

  private options(): uPlot.Options {
    const { bend, lines } = this.shown;
    return {
      width: this.width(),
      height: this.height(),
      legend: { show: false },
      padding: [10, RIGHT, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
      scales: {
        x: { time: true, range: () => [this.shown.from / 1000, this.shown.to / 1000] },
        y: {
          distr: bend > 0 ? 4 : 1,
          asinh: bend,
          range: () => this.shown.ends,
        },
      },
      axes: this.axes(),
      series: [{}, ...lines.series],
      bands: lines.bands,
      hooks: {
        setSelect: [(plot) => this.selected(plot)],
        setCursor: [(plot) => this.hovered(plot)],
        drawClear: [(plot) => this.shown.under(plot)],
        draw: [(plot) => this.shown.over(plot)],
      },
    };
  }

  private axes(): uPlot.Axis[] {
    const look: uPlot.Axis = {
      stroke: () => color("quiet"),
      grid: { stroke: () => color("line"), width: 1 },
      ticks: { stroke: () => color("line") },
      font: "12px system-ui, sans-serif",
    };
    const { bend } = this.shown;
    const splits = (plot: uPlot, _: number, low: number, high: number) =>
      bentTicks(bend, low, high, plot.bbox.height / devicePixelRatio);
    let shown: Tick[] = [];
    const times = ({ bbox }: uPlot) => {
      const { from, to } = this.shown;
      shown = ticks(from, to, bbox.width / devicePixelRatio, shownZone(), locale());
      return shown.map(({ time }) => time / 1000);
    };
    return [
      {
        ...look,
        splits: times,
        values: () => shown.map(({ label }) => label),
        size: 48,
        label: () => zoneName(this.shown.from, this.shown.to),
        labelFont: "11px system-ui, sans-serif",
        labelSize: 16,
        labelGap: 0,
      },
      {
        ...look,
        size: 84,
        values: (_, ticks) => ticks.map(units.inUnit),
        filter: (_, ticks) => ticks,
        ...(bend > 0 ? { splits } : {}),
      },
    ];
  }

  private selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.on.zoom(plot.posToVal(left, "x") * 1000, plot.posToVal(left + width, "x") * 1000);
  }

  private hovered(plot: uPlot): void {
    if (this.pointing) return;
    const left = plot.cursor.left ?? -1;
    this.on.hover(left < 0 ? null : plot.posToVal(left, "x") * 1000);
  }
}
