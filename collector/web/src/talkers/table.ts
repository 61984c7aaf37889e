// Talkers in figures, with how much more each may have.

import { element } from "../dom";
import { t } from "../i18n";
import * as units from "../units";
import type { Amount, Talkers } from "./api";
import { nameOf } from "./words";

/** A line: its colour, its name, what it has, and at most how much more; `null`: it is no talker. */
interface Line {
  kind: string;
  name: string;
  amount: Amount;
  error: number | null;
  meaning: string;
}

/** All lines; they add up to the total. */
export function linesOf(shown: Talkers): Line[] {
  const named = shown.talkers.map((talker, index) => ({
    kind: String(index + 1),
    name: nameOf(talker),
    amount: talker,
    error: talker.error_bytes,
    meaning: "",
  }));
  const { unattributed, rest, unlisted_bytes } = shown;
  const none = {
    kind: "unattributed",
    name: t("unattributed"),
    amount: unattributed,
    error: null,
    meaning: t("unattributedMeans"),
  };
  const others = {
    kind: "rest",
    name: t("rest"),
    amount: rest,
    error: null,
    meaning: t("restMeans", units.bytes(unlisted_bytes)),
  };
  return [...named, ...(unattributed.bytes > 0 ? [none] : []), others];
}

/** How sure a figure is. */
export const sureness = (error: number): string =>
  error === 0 ? t("talkersExact") : t("talkersError", units.bytes(error));

/** A bar of what is sure, and of what may be more. */
function barOf({ amount, error }: Line, most: number): HTMLElement {
  const width = (bytes: number) => `${most > 0 ? (100 * Math.min(bytes, most)) / most : 0}%`;
  const sure = element("i", { class: "sure" });
  const more = element("i", { class: "more" });
  sure.style.width = width(amount.bytes);
  more.style.width = width(error ?? 0);
  return element("span", { class: "amount-bar", "aria-hidden": "true" }, sure, more);
}

const cell = (text: string, kind = ""): HTMLElement =>
  element("td", kind ? { class: kind } : {}, text);

export function table(shown: Talkers): HTMLElement {
  const { total, covered_ns, speed_bits_per_second: speed } = shown;
  const seconds = covered_ns / 1e9;
  const link = speed && seconds > 0 ? (speed / 8) * seconds : 0;
  const lines = linesOf(shown);
  const most = Math.max(...lines.map(({ amount, error }) => amount.bytes + (error ?? 0)), 1);
  const figures = (amount: Amount) => [
    cell(units.bytes(amount.bytes)),
    cell(seconds > 0 ? units.rate(amount.bytes / seconds) : "–"),
    cell(units.share(amount.bytes, total.bytes)),
    ...(link > 0 ? [cell(units.share(amount.bytes, link))] : []),
    cell(units.exact(amount.packets)),
  ];
  const rows = lines.map((line) => {
    const key = element("i", { class: `key-${line.kind}`, "aria-hidden": "true" });
    const number = Number(line.kind) > 0 ? `${line.kind}. ` : "";
    const name = element("th", { scope: "row" }, key, `${number}${line.name}`, barOf(line, most));
    const sure = line.error === null ? line.meaning : sureness(line.error);
    return element(
      "tr",
      { "data-talker": line.kind },
      ...[name, ...figures(line.amount), cell(sure, "note sureness")],
    );
  });
  const head = [
    t("talkersWho"),
    t("total"),
    t("mean"),
    t("ofNic"),
    ...(link > 0 ? [t("ofLink")] : []),
    t("talkersPackets"),
  ];
  const heads = head.map((text) => element("th", { scope: "col" }, text));
  heads.push(element("th", { scope: "col", class: "sureness" }, t("talkersSure")));
  const sum = element(
    "tr",
    { "data-talker": "total" },
    element("th", { scope: "row" }, t("talkersTotal")),
  );
  sum.append(
    ...figures(total),
    cell(
      t("distinct", units.exact(shown.distinct), units.exact(shown.distinct_error)),
      "note sureness",
    ),
  );
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
    element("tfoot", {}, sum),
  );
}
