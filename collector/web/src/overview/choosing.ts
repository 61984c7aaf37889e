// Choosing what to compare: boxes at the rows, and a line that says what was chosen.

import { compareAddress } from "../address";
import { choose, chosenPaths, keepChosen, MOST } from "../compare/chosen";
import { button, element, write } from "../dom";
import { t } from "../i18n";

export class Choosing {
  readonly toggle: HTMLButtonElement;
  readonly bar: HTMLElement;
  /** Whether there are boxes. */
  on = chosenPaths().length > 0;
  private readonly count = element("span", { role: "status" });
  private readonly go = element("a", { id: "compare-chosen" }, t("compare"));

  /** `changed`: other boxes are ticked, or there are boxes now. */
  constructor(private readonly changed: () => void) {
    this.toggle = button(t("compare"), "choose", () => {
      this.on = !this.on;
      this.show();
    });
    this.toggle.title = t("chooseMeans", MOST);
    const none = button(t("chooseNone"), "choose-none", () => {
      keepChosen([]);
      this.show();
    });
    this.bar = element("p", { id: "chosen" }, this.count, " ", this.go, " ", none);
    this.show();
  }

  has(path: string): boolean {
    return chosenPaths().includes(path);
  }

  choose(path: string, wanted: boolean): void {
    this.show(choose(path, wanted) ? "" : t("tooManyChosen", MOST));
  }

  private show(refused = ""): void {
    const paths = chosenPaths();
    this.toggle.setAttribute("aria-pressed", String(this.on));
    this.bar.hidden = !this.on;
    write(this.count, [t("chosen", paths.length, MOST), refused].filter(Boolean).join(" "));
    this.count.className = refused ? "bad" : "";
    this.go.hidden = paths.length === 0;
    this.go.href = compareAddress(paths, null);
    this.changed();
  }
}
