// A chart over a range of time, with its controls and keys, and what the pointer is at.

import type { Look } from "../address";
import { Chart } from "../chart/chart";
import type { Drawing } from "../chart/drawing";
import { copy, element, perFrame } from "../dom";
import { t } from "../i18n";
import { health, now } from "../presence";
import { type Entry, png } from "./export";
import { TimeRange } from "./range";
import { type Choices, Tools } from "./tools";
import { When } from "./when";

/** What can be read out: its start and its length, milliseconds. */
export type Step = readonly [start: number, length: number];

/** What a view is of. */
export interface Viewed {
  /** Draws everything. */
  draw: () => void;
  /** Another range or look was chosen. `reload`: another range. */
  changed: (reload: boolean) => void;
  /** The address of the page with a look. */
  address: (look: Look) => string;
  /** What can be read out in sight, by time. */
  steps: () => Step[];
  /** A time was clicked at, or entered by the keyboard. */
  pick?: (time: number) => void;
  /** A range was dragged over. */
  dragged?: () => void;
  /** Says what went wrong. */
  note: (text: string) => void;
  /** Name of files, and of the picture. */
  file: () => string;
  title: () => string;
  entries: () => Entry[];
  csv: () => void;
  compare: () => void;
}

export class View {
  readonly legend = element("p", { id: "legend", class: "note" });
  readonly element = element("section", { id: "view", "aria-label": t("view") });
  readonly place: HTMLElement;
  private readonly values = element("div", { id: "hover", "aria-live": "off" });
  private readonly tools: Tools;
  private readonly when = new When((from, to) => this.between(from, to));
  private readonly frame = perFrame(() => this.of.draw());
  private readonly ending: (() => void)[] = [];
  private later: ReturnType<typeof setTimeout> | undefined;
  private chart: Chart | undefined;
  /** The time that is pointed at. */
  private hovered: number | null = null;

  /** `about`: what the chart is and how to use it. */
  constructor(
    private readonly of: Viewed,
    public look: Look,
    about: string,
    choices: Choices,
  ) {
    const attributes = { id: "chart", tabindex: "0", role: "application", "aria-label": about };
    this.place = element("div", attributes);
    this.tools = this.makeTools(choices);
    const { when, tools, values, place, legend } = this;
    this.element.append(when.element, tools.element, values, place, legend);
    place.addEventListener("keydown", (event) => this.pressed(event));
    place.addEventListener("pointermove", () => values.setAttribute("aria-live", "off"));
    // A gap at the right edge has to grow though nothing arrives.
    this.every(1000, () => this.plan());
    this.tools.show(look);
  }

  leave(): void {
    clearTimeout(this.later);
    for (const end of this.ending) end();
    this.frame.stop();
    this.chart?.destroy();
  }

  /** Does something now and then while what is shown moves on. */
  every(milliseconds: number, action: () => void): void {
    const timer = setInterval(() => {
      if (this.look.range.live && health.connection === "live") action();
    }, milliseconds);
    this.ending.push(() => clearInterval(timer));
  }

  /** Does something a while later if what is shown moves on by then. Later orders replace earlier ones. */
  once(milliseconds: number, action: () => void): void {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      if (this.look.range.live && health.connection === "live") action();
    }, milliseconds);
  }

  limits(): readonly [from: number, to: number] {
    return this.look.range.limits(now());
  }

  /** Has everything drawn in the next frame. */
  plan(): void {
    this.frame.plan();
  }

  /** Draws. `readout`: says what is pointed at. */
  show(drawing: Drawing, readout: (time: number | null) => HTMLElement): void {
    this.when.show(this.look.range, now());
    if (this.chart) this.chart.show(drawing);
    else {
      this.chart = new Chart(this.place, drawing, {
        zoom: (from, to) => {
          this.between(from, to);
          this.of.dragged?.();
        },
        pick: (time) => this.of.pick?.(time),
        hover: (time) => {
          this.hovered = time;
          this.plan();
        },
      });
    }
    const told = readout(this.hovered);
    this.values.replaceChildren(told);
    this.values.dataset.time = told.dataset.time ?? "";
  }

  between(from: number, to: number): void {
    this.goTo(this.look.range.between(from, to, now()));
  }

  private goTo(range: TimeRange): void {
    this.change({ range }, true);
  }

  private change(how: Partial<Look>, reload = false): void {
    this.look = { ...this.look, ...how };
    this.tools.show(this.look);
    this.of.changed(reload);
    this.plan();
  }

  private makeTools(choices: Choices): Tools {
    const { of } = this;
    const actions = {
      length: (length: number) => this.goTo(TimeRange.last(length)),
      move: (direction: -1 | 1) => this.goTo(this.look.range.moved(direction, now())),
      widen: () => this.goTo(this.look.range.zoomed(2, now())),
      pause: () => this.pause(),
      peaks: () => this.change({ peaks: !this.look.peaks }),
      log: () => this.change({ log: !this.look.log }),
      link: () => copy(this.link()),
      full: () => this.fullScreen(),
      compare: () => of.compare(),
      csv: () => of.csv(),
      png: () => {
        const canvas = this.chart?.canvas;
        if (canvas) png(of.file(), canvas, of.title(), this.limits(), of.entries());
      },
    };
    return new Tools(actions, choices);
  }

  /** The address of what is in sight now, for good. */
  private link(): string {
    const range = this.look.range.paused(now());
    return new URL(this.of.address({ ...this.look, range }), location.href).href;
  }

  private fullScreen(): void {
    const change = document.fullscreenElement
      ? document.exitFullscreen()
      : this.element.requestFullscreen();
    change.catch((error: unknown) => this.of.note(String(error)));
  }

  private pause(): void {
    const { range } = this.look;
    this.goTo(range.live ? range.paused(now()) : range.resumed());
  }

  private readonly keys: Record<string, () => void> = {
    " ": () => this.pause(),
    "+": () => this.goTo(this.look.range.zoomed(0.5, now())),
    "=": () => this.goTo(this.look.range.zoomed(0.5, now())),
    "-": () => this.goTo(this.look.range.zoomed(2, now())),
    "0": () => this.goTo(this.look.range.resumed()),
    Enter: () => this.pick(),
    ArrowLeft: () => this.step(-1),
    ArrowRight: () => this.step(1),
    PageUp: () => this.goTo(this.look.range.moved(-1, now())),
    PageDown: () => this.goTo(this.look.range.moved(1, now())),
  };

  private pressed(event: KeyboardEvent): void {
    const { ctrlKey, metaKey, altKey } = event;
    const action = ctrlKey || metaKey || altKey ? undefined : this.keys[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  /** Picks what the cursor is at. */
  private pick(): void {
    if (this.hovered !== null) this.of.pick?.(this.hovered);
  }

  /** Puts the cursor to what is before, -1, or after, 1. What moves on is paused. */
  private step(direction: -1 | 1): void {
    if (this.of.steps().length === 0) return;
    const { range } = this.look;
    if (range.live) this.change({ range: range.paused(now()) });
    const steps = this.of.steps();
    const { hovered } = this;
    const passed =
      hovered === null
        ? steps.length + 1
        : steps.filter(([start]) => start <= hovered + 0.001).length;
    const next = steps[Math.min(steps.length - 1, Math.max(0, passed - 1 + direction))];
    if (!next) return;
    this.hovered = next[0] + next[1] / 2;
    this.values.setAttribute("aria-live", "polite");
    this.chart?.point(this.hovered);
    this.plan();
  }
}
