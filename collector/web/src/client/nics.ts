// The choice of a NIC, with what each carries.

import type { Nic } from "../api";
import { button, element, write } from "../dom";
import { t } from "../i18n";
import * as units from "../units";

/** What a NIC is and carries, in one line. */
export function describe({ sample, kind, speed_bits_per_second, stacked, up }: Nic): string {
  const { rx, tx } = sample ?? {};
  const parts = [
    rx && tx ? `↓ ${units.rate(rx.bytes_per_second)} ↑ ${units.rate(tx.bytes_per_second)}` : "",
    kind,
    speed_bits_per_second > 0 ? units.speed(speed_bits_per_second) : "",
    stacked ? t("stacked") : "",
    up ? "" : t("linkDown"),
  ];
  return parts.filter(Boolean).join(" · ");
}

export interface Choice {
  nic: string;
  text: string;
}

export class NicChooser {
  readonly element = element("nav", { id: "nics", "aria-label": t("nics") });
  private shown = "";

  constructor(private readonly choose: (nic: string) => void) {}

  show(choices: Choice[], chosen: string): void {
    const names = JSON.stringify(choices.map(({ nic }) => nic));
    if (names !== this.shown) {
      this.shown = names;
      this.element.replaceChildren(...choices.map(({ nic }) => this.make(nic)));
    }
    choices.forEach(({ nic, text }, index) => {
      const choice = this.element.children[index];
      choice?.setAttribute("aria-pressed", String(nic === chosen));
      if (choice?.lastElementChild) write(choice.lastElementChild as HTMLElement, text);
    });
  }

  private make(nic: string): HTMLButtonElement {
    const made = button("", "", () => this.choose(nic));
    made.dataset.nic = nic;
    made.append(element("b", {}, nic), element("span", { class: "note" }));
    return made;
  }
}
