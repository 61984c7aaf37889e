// The billing months: a card for each account, with its running cycle and the frozen ones.

import "./accounts.css";
import { clientPath } from "../address";
import { element, showTitle } from "../dom";
import { t } from "../i18n";
import { followAll } from "../live";
import * as units from "../units";
import { csvOf, frozen, type Statement, statements } from "./api";
import { type Figure, figures, fullness, historyCells } from "./figures";

/** The collector renews its statements every minute. */
const RENEW = 60_000;

function row({ id, name, value, kind }: Figure): HTMLElement {
  const figure = element("dd", { "data-figure": id, class: kind }, value);
  return element("div", {}, element("dt", {}, name), figure);
}

/** How much of the quota is used, and how much will be. */
function meter({ used_percent, projected_percent }: Statement): HTMLElement[] {
  if (used_percent === null) return [];
  const bar = (percent: number, kind: string): HTMLElement => {
    const made = element("i", { class: kind });
    made.style.width = `${Math.min(100, percent)}%`;
    return made;
  };
  const ahead = projected_percent === null ? [] : [bar(projected_percent, "ahead")];
  const used = bar(used_percent, `used ${fullness(used_percent)}`);
  return [element("div", { class: "meter", "aria-hidden": "true" }, ...ahead, used)];
}

function share({ client, nic, rx_bytes, tx_bytes, missing_ns }: Statement["metered"]["nics"][0]) {
  const missing = missing_ns > 0 ? units.span(missing_ns / 1e6) : "–";
  const link = element("a", { href: clientPath(client) }, `${client} ${nic}`);
  const cells = [units.bytes(rx_bytes), units.bytes(tx_bytes), missing];
  const name = element("th", { scope: "row" }, link);
  return element("tr", {}, name, ...cells.map((cell) => element("td", {}, cell)));
}

function table(caption: string, heads: string[], rows: HTMLElement[]): HTMLElement {
  const cells = heads.map((head) => element("th", { scope: "col" }, head));
  const head = element("thead", {}, element("tr", {}, ...cells));
  const made = element("table", {}, element("caption", {}, caption), head);
  made.append(element("tbody", {}, ...rows));
  return element("div", { class: "wide" }, made);
}

function history(account: string, cycles: Statement[]): HTMLElement[] {
  if (cycles.length === 0) return [];
  const heads = [
    t("accountCycle"),
    t("accountUsed"),
    t("accountMost"),
    t("accountP95"),
    t("accountProvider"),
  ];
  const rows = cycles.map((it) => {
    const href = csvOf(account, it.cycle);
    const link = element("a", { href, download: `${account}-${it.cycle}.csv` }, it.cycle);
    link.title = it.digest ?? "";
    const cells = historyCells(it).map((cell) => element("td", {}, cell));
    return element("tr", {}, element("th", { scope: "row" }, link), ...cells);
  });
  return [table(t("accountFrozen"), heads, rows)];
}

function card(it: Statement, cycles: Statement[]): HTMLElement {
  const { account, cycle, from_told, to_told, terms, metered } = it;
  const notes = [
    ...it.warnings.map(({ message }) => element("li", { class: "warn" }, message)),
    ...it.unknown_members.map((member) => element("li", {}, t("accountUnknown", member))),
  ];
  const when = t("accountWhen", cycle, from_told, to_told);
  const heads = [t("accountNic"), t("rx"), t("tx"), t("accountUnmeasured")];
  return element(
    "section",
    { class: "account", "data-account": account, "aria-label": account },
    element("h2", {}, account),
    element("p", { class: "note" }, `${when}; ${terms.rule}, ${terms.basis}`),
    ...meter(it),
    element("dl", {}, ...figures(it).map(row)),
    ...(notes.length > 0 ? [element("ul", {}, ...notes)] : []),
    table(t("nics"), heads, metered.nics.map(share)),
    ...history(account, cycles),
  );
}

/** Shows the accounts until the function that it gives is called. */
export function showAccounts(main: HTMLElement): () => void {
  const place = element("div", { id: "accounts" });
  const note = element("p", { id: "accounts-note", class: "note", role: "status" });
  main.append(place, note);
  showTitle(t("accounts"));
  let left = false;
  const draw = async (): Promise<void> => {
    try {
      const found = await statements();
      const past = await Promise.all(found.map(({ account }) => frozen(account)));
      if (left) return;
      place.replaceChildren(...found.map((it, index) => card(it, past[index] ?? [])));
      note.textContent = found.length === 0 ? t("accountsNone") : "";
    } catch (error) {
      if (!left) note.textContent = t("failed", String(error));
    }
  };
  // Only what is followed tells how the collector is.
  const unfollow = followAll(() => {});
  void draw();
  const timer = setInterval(() => void draw(), RENEW);
  return () => {
    left = true;
    unfollow();
    clearInterval(timer);
  };
}
