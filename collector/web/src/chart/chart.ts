// The mirrored chart: received above, transmitted below; gaps stay gaps, loss is drawn where it was.

import uPlot from "uplot";
import { locale } from "../i18n";
import { color, onTheme } from "../theme";
import { clock, day } from "../time";
import * as units from "../units";
import { marks, shade } from "./marks";
import { bentTicks, limits } from "./scale";
import { columns, type Shown } from "./shown";

const HEIGHT = 380;
const NARROWEST = 300;
/** A shorter drag is a click. */
const LEAST_DRAG = 4;

const stepped = uPlot.paths.stepped?.({ align: 1 });

function line(direction: string, peak: boolean): uPlot.Series {
  return {
    stroke: () => (peak ? "transparent" : color(direction)),
    width: peak ? 0 : 1.5,
    ...(stepped ? { paths: stepped } : {}),
    points: { show: false },
    spanGaps: false,
  };
}

/** Labels of times: the date is beside the first of each day, where the range is long. */
function timeLabels(plot: uPlot, ticks: number[], step: number): string[] {
  const { min = 0, max = 0 } = plot.scales.x ?? {};
  const long = (max ?? 0) - (min ?? 0) > 3600 * 6;
  let before = "";
  return ticks.map((tick) => {
    const date = day(tick * 1000, locale());
    const first = date !== before;
    before = date;
    if (step >= 86_400) return date;
    const time = clock(tick * 1000, step * 1000);
    return first && long ? `${time}\n${date}` : time;
  });
}

interface Handlers {
  /** A range was dragged over. */
  zoom: (from: number, to: number) => void;
  /** The pointer is at a time, or away. */
  hover: (time: number | null) => void;
}

export class Chart {
  private plot: uPlot;
  private pointing = false;
  private readonly fit: ResizeObserver;
  private readonly leaveTheme: () => void;

  constructor(
    private readonly place: HTMLElement,
    private shown: Shown,
    private readonly on: Handlers,
  ) {
    this.plot = this.make();
    this.fit = new ResizeObserver(() => this.plot.setSize({ width: this.width(), height: HEIGHT }));
    this.fit.observe(place);
    this.leaveTheme = onTheme(() => this.plot.redraw(false));
  }

  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  show(next: Shown): void {
    const { bend } = this.shown;
    this.shown = next;
    if (bend === next.bend) {
      this.plot.setData(columns(next, units.perByte()));
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
    this.leaveTheme();
    this.plot.destroy();
  }

  private width(): number {
    return Math.max(NARROWEST, this.place.clientWidth);
  }

  private make(): uPlot {
    return new uPlot(this.options(), columns(this.shown, units.perByte()), this.place);
  }

  private options(): uPlot.Options {
    const bent = this.shown.bend > 0;
    const band = (series: [number, number], name: string, dir: 1 | -1): uPlot.Band => ({
      series,
      fill: () => `${color(name)}40`,
      dir,
    });
    return {
      width: this.width(),
      height: HEIGHT,
      legend: { show: false },
      padding: [10, 26, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
      scales: {
        x: { time: true, range: () => [this.shown.from / 1000, this.shown.to / 1000] },
        y: {
          distr: bent ? 4 : 1,
          asinh: this.shown.bend,
          range: (_, low, high) => limits(low, high, this.levels(), bent),
        },
      },
      axes: this.axes(),
      series: [{}, line("rx", false), line("rx", true), line("tx", false), line("tx", true)],
      bands: [band([2, 1], "rx", -1), band([4, 3], "tx", 1)],
      hooks: {
        setSelect: [(plot) => this.selected(plot)],
        setCursor: [(plot) => this.hovered(plot)],
        drawClear: [(plot) => shade(plot, this.shown)],
        draw: [(plot) => marks(plot, this.shown)],
      },
    };
  }

  /** Levels that have to be in sight, in the unit shown. */
  private levels(): number {
    const { rx, tx } = this.shown.p95;
    return Math.max(rx, tx) * units.perByte();
  }

  private axes(): uPlot.Axis[] {
    const look: uPlot.Axis = {
      stroke: () => color("quiet"),
      grid: { stroke: () => color("line"), width: 1 },
      ticks: { stroke: () => color("line") },
      font: "12px system-ui, sans-serif",
    };
    const { bend } = this.shown;
    const splits = (_: uPlot, __: number, low: number, high: number) => bentTicks(bend, low, high);
    return [
      { ...look, values: (plot, ticks, _, __, step) => timeLabels(plot, ticks, step), space: 70 },
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
