// The one place that says what is wrong, and since when.

import { element, write } from "./dom";
import type { Problem } from "./health";
import { t } from "./i18n";
import { moment } from "./time";
import * as units from "./units";

const KINDS: Record<Problem["kind"], string> = {
  unreachable: "bad",
  storeAway: "warn",
  clock: "warn",
};

/** Whole seconds: what is read must not flicker. */
const age = (milliseconds: number): string =>
  units.span(Math.floor(Math.max(0, milliseconds) / 1000) * 1000);

/** A problem in words, and how long it has been there. `now`: by the collector's clock. */
export function describe(problem: Problem, now: number): [text: string, age: string] {
  if (problem.kind === "clock") {
    const { ahead } = problem;
    return [t(ahead > 0 ? "clockBehind" : "clockAhead", age(Math.abs(ahead))), ""];
  }
  const { kind, since, reason } = problem;
  const name = kind === "storeAway" && !problem.observed ? "storeAwayAtLeast" : kind;
  const why = reason ? ` ${t("why", reason)}` : "";
  return [t(name, moment(since)) + why, t("lasts", age(now - since))];
}

/** Shows problems; without any it takes no room. */
export class Banner {
  private shown = "";

  constructor(private readonly place: HTMLElement) {}

  show(problems: Problem[], now: number): void {
    const texts = problems.map((problem) => describe(problem, now));
    // Read aloud when a problem comes, not each second of it.
    const key = JSON.stringify(texts.map(([text]) => text));
    if (key !== this.shown) {
      this.shown = key;
      const lines = problems.map(({ kind }, index) => {
        const age = element("span", { "aria-live": "off" });
        const about = { class: KINDS[kind], "data-problem": kind };
        return element("p", about, texts[index]?.[0] ?? "", " ", age);
      });
      this.place.replaceChildren(...lines);
    }
    this.place.hidden = problems.length === 0;
    texts.forEach(([, age], index) => {
      write(this.place.children[index]?.lastElementChild as HTMLElement, age);
    });
  }
}
