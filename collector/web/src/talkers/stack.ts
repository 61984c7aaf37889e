// Bars over time, each a stack of talkers, what could not be attributed, and the rest.

import { element } from "../dom";
import { t } from "../i18n";
import { clock, moment } from "../time";
import * as units from "../units";
import type { Interval, Talkers } from "./api";
import type { At, Scale } from "./who";

/** A part of a bar: its height as a share of the whole chart, and its colour. */
export interface Part {
  share: number;
  kind: string;
}

export interface Bar {
  interval: Interval;
  /** Where it begins and ends, milliseconds since 1970: its records may cover less. */
  start: number;
  end: number;
  parts: Part[];
  /** What it comes to. */
  text: string;
}

const RATE = 1e9;

/** Bytes per second. */
const rateOf = (bytes: number, { interval_ns }: Interval): number =>
  interval_ns > 0 ? (bytes / interval_ns) * RATE : 0;

/** The rate that fills the chart, bytes per second; 0: each bar does. */
function whole({ intervals, speed_bits_per_second: speed }: Talkers, scale: Scale): number {
  if (scale === "nic") return 0;
  if (scale === "link" && speed) return speed / 8;
  return Math.max(...intervals.map((it) => rateOf(it.total_bytes, it)), 1);
}

/** What a bar is to be read as: its rate, and its share of the link. */
function textOf(interval: Interval, speed: number | null): string {
  const rate = rateOf(interval.total_bytes, interval);
  const share = speed ? ` (${units.share(rate, speed / 8)})` : "";
  return units.rate(rate) + share;
}

export function bars(shown: Talkers, scale: Scale): Bar[] {
  const full = whole(shown, scale);
  const starts = shown.intervals.map(({ time }) => Date.parse(time));
  return shown.intervals.map((interval, index) => {
    const of = full === 0 ? interval.total_bytes : (full * interval.interval_ns) / RATE;
    const share = (bytes: number) => (of > 0 ? Math.min(1, bytes / of) : 0);
    const named = interval.talkers_bytes.map((bytes, index) => ({
      share: share(bytes),
      kind: String(index + 1),
    }));
    const others = [
      { share: share(interval.unattributed_bytes), kind: "unattributed" },
      { share: share(interval.rest_bytes), kind: "rest" },
    ];
    return {
      interval,
      start: starts[index] as number,
      end: starts[index + 1] ?? Date.parse(shown.to),
      parts: [...named, ...others].filter((part) => part.share > 0),
      text: textOf(interval, shown.speed_bits_per_second),
    };
  });
}

/** The largest figure of the scale, in words. */
export function top(shown: Talkers, scale: Scale): string {
  if (scale === "nic") return units.percent(1);
  return units.rate(whole(shown, scale));
}

const labelOf = ({ start, interval, text }: Bar): string =>
  t("talkersBar", moment(start), units.span(interval.interval_ns / 1e6), text);

function drawn(bar: Bar, chosen: boolean, choose: () => void): HTMLElement {
  const stack = bar.parts.map(({ share, kind }) => {
    const part = element("i", { class: `part-${kind}`, "aria-hidden": "true" });
    part.style.height = `${100 * share}%`;
    return part;
  });
  const made = element(
    "button",
    { type: "button", tabindex: "-1", "aria-pressed": String(chosen), title: labelOf(bar) },
    ...stack,
  );
  made.setAttribute("aria-label", labelOf(bar));
  made.dataset.start = String(bar.start);
  made.addEventListener("click", choose);
  return element("li", {}, made);
}

const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1 };

/** Whether a bar is what was chosen. */
export function isChosen({ start, end }: Bar, at: At | null): boolean {
  if (at === null) return false;
  if (typeof at === "number") return start <= at && at < end;
  return at[0] <= start && start < at[1];
}

/** The bars, of which one has the keyboard's focus at a time. `at`: what is chosen. */
export function stack(
  shown: Talkers,
  scale: Scale,
  at: At | null,
  choose: (minutes: At) => void,
): HTMLElement {
  const all = bars(shown, scale);
  const has = (bar: Bar) => isChosen(bar, at);
  const items = all.map((bar) => drawn(bar, has(bar), () => choose([bar.start, bar.end])));
  const list = element("ol", { class: "stack", "aria-label": t("talkersBars") }, ...items);
  const buttons = items.map((item) => item.firstElementChild as HTMLButtonElement);
  const chosen = Math.max(0, all.findIndex(has));
  buttons[chosen]?.setAttribute("tabindex", "0");
  list.addEventListener("keydown", (event) => {
    const index = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const next = buttons[index + (STEPS[event.key] ?? 0)];
    if (index < 0 || !next || next === buttons[index]) return;
    buttons[index]?.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    event.preventDefault();
  });
  const ends = [all[0]?.start, all.at(-1)?.end].map((time) =>
    element("span", {}, time === undefined ? "" : clock(time, 1000)),
  );
  const high = element("p", { class: "note" }, top(shown, scale));
  return element(
    "div",
    { class: "stacked" },
    high,
    list,
    element("p", { class: "ends note" }, ...ends),
  );
}
