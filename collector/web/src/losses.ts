// What figures lack or misplace, in words.

import type { Losses } from "./api";
import { element } from "./dom";
import { type Text, t } from "./i18n";
import * as units from "./units";

/** Each with what it means and how bad it is. */
const LOSSES: [word: Text, meaning: Text, key: keyof Losses, kind: string][] = [
  ["lostPackets", "lostMeans", "drops_total", "bad"],
  ["late", "lateMeans", "late_total", "warn"],
  ["inexact", "inexactMeans", "inexact_total", "warn"],
];

/** Losses in one line each, with their meaning. */
export function lossesTitle(losses: Losses): string {
  const lines = LOSSES.map(([word, meaning, key]) =>
    t("loss", t(word), units.exact(losses[key]), t(meaning)),
  );
  return lines.join("\n");
}

/** What a NIC's figures lack or misplace in all; a word says on hover what it means. */
export function ledger(losses: Losses): HTMLElement {
  const rows = LOSSES.map(([word, meaning, key, kind]) => {
    const name = element("abbr", { title: t(meaning) }, t(word));
    const about = { class: losses[key] === 0 ? "" : kind, "data-loss": key };
    const count = element("td", about, units.exact(losses[key]));
    return element("tr", {}, element("th", { scope: "row" }, name), count);
  });
  const caption = element("caption", {}, t("ledger"));
  return element("table", {}, caption, element("tbody", {}, ...rows));
}
