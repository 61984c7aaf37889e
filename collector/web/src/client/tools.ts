// The controls above a chart.

import type { ClientState } from "../address";
import { button, element, write } from "../dom";
import { t } from "../i18n";
import * as units from "../units";
import { LENGTHS } from "./range";

/** What the controls do. */
export interface Actions {
  length: (milliseconds: number) => void;
  move: (direction: -1 | 1) => void;
  widen: () => void;
  pause: () => void;
  peaks: () => void;
  log: () => void;
  csv: () => void;
  png: () => void;
}

export class Tools {
  readonly element: HTMLElement;
  private readonly lengths: HTMLSelectElement;
  private readonly pause: HTMLButtonElement;
  private readonly peaks: HTMLButtonElement;
  private readonly log: HTMLButtonElement;

  constructor(on: Actions) {
    const options = LENGTHS.map((length) =>
      element("option", { value: String(length) }, units.span(length)),
    );
    this.lengths = element("select", { id: "range", "aria-label": t("range") }, ...options);
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
    const files = [button(t("csv"), "csv", on.csv), button(t("png"), "png", on.png)];
    this.element = element(
      "div",
      { class: "tools" },
      ...time,
      grow,
      this.peaks,
      this.log,
      ...files,
    );
  }

  show({ range, peaks }: ClientState): void {
    this.lengths.value = String(range.length);
    write(this.pause, range.live ? `❚❚ ${t("pause")}` : `▶ ${t("resume")}`);
    this.pause.setAttribute("aria-pressed", String(!range.live));
    this.peaks.setAttribute("aria-pressed", String(peaks));
  }

  showBent(bent: boolean): void {
    this.log.setAttribute("aria-pressed", String(bent));
  }
}
