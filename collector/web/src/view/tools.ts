// The controls above a chart.

import type { Look } from "../address";
import { button, element, write } from "../dom";
import { t } from "../i18n";
import * as units from "../units";

/** What the controls do. */
export interface Actions {
  length: (milliseconds: number) => void;
  move: (direction: -1 | 1) => void;
  widen: () => void;
  pause: () => void;
  peaks: () => void;
  log: () => void;
  link: () => Promise<void>;
  full: () => void;
  compare: () => void;
  csv: () => void;
  png: () => void;
}

/** What there is to choose. */
export interface Choices {
  /** Lengths of ranges, milliseconds. */
  lengths: readonly number[];
  /** Whether there are peaks. */
  peaks: boolean;
  /** Whether it can be put beside others. */
  compare: boolean;
}

/** How long a button says what came of it, milliseconds. */
const SAID = 2000;

/** Says on a button whether something was copied. */
async function copied(link: HTMLButtonElement, copying: Promise<void>): Promise<void> {
  const outcome = await copying.then(() => t("copied")).catch(() => t("notCopied"));
  write(link, outcome);
  setTimeout(() => write(link, t("link")), SAID);
}

export class Tools {
  readonly element: HTMLElement;
  private readonly lengths: HTMLSelectElement;
  private readonly pause: HTMLButtonElement;
  private readonly peaks: HTMLButtonElement;
  private readonly log: HTMLButtonElement;

  constructor(on: Actions, { lengths, peaks, compare }: Choices) {
    const options = lengths.map((length) =>
      element("option", { value: String(length) }, units.span(length)),
    );
    // Chosen by itself where another range stays.
    const other = element("option", { value: "", hidden: "" }, t("otherRange"));
    this.lengths = element("select", { id: "range", "aria-label": t("range") }, ...options, other);
    this.lengths.addEventListener("change", () => on.length(Number(this.lengths.value)));
    this.pause = button("", "pause", on.pause);
    this.peaks = button(t("peaks"), "peaks", on.peaks);
    this.log = button(t("log"), "log", on.log);
    const earlier = button("◀", "earlier", () => on.move(-1));
    const later = button("▶", "later", () => on.move(1));
    earlier.setAttribute("aria-label", t("earlier"));
    later.setAttribute("aria-label", t("later"));
    const time = [this.lengths, earlier, later, button(t("zoomOut"), "out", on.widen), this.pause];
    const grow = element("span", { class: "grow" });
    const link = button(t("link"), "link", () => void copied(link, on.link()));
    const full = button(t("full"), "full", on.full);
    full.hidden = !document.fullscreenEnabled;
    const files = [button(t("csv"), "csv", on.csv), button(t("png"), "png", on.png)];
    const look = [...(peaks ? [this.peaks] : []), this.log, full];
    const more = compare ? [button(t("compare"), "compare", on.compare)] : [];
    const right = [...look, link, ...more, ...files];
    this.element = element("div", { class: "tools" }, ...time, grow, ...right);
  }

  show({ range, peaks, log }: Look): void {
    this.lengths.value = range.live ? String(range.length) : "";
    write(this.pause, range.live ? `❚❚ ${t("pause")}` : `▶ ${t("resume")}`);
    this.pause.setAttribute("aria-pressed", String(!range.live));
    this.peaks.setAttribute("aria-pressed", String(peaks));
    this.log.setAttribute("aria-pressed", String(log));
  }
}
