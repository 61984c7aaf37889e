// The page of a search: which hosts talked to an address.

import "./talkers.css";
import { askForTalkers, momentAddress, type TalkersState, talkersAddress } from "../address";
import { reasonOf } from "../api";
import { element, keepAddress, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followAll } from "../live";
import { now } from "../presence";
import { moment } from "../time";
import * as units from "../units";
import { LENGTHS, TimeRange } from "../view/range";
import { When } from "../view/when";
import { type Found, type SearchResult, searchCsv, searched } from "./api";
import { sureness } from "./table";
import { USUAL } from "./who";

/** Talkers are kept for days: longer ranges find no more. */
const LONGEST = 30 * 864e5;

class TalkersPage {
  private readonly over = new AbortController();
  private readonly field = element("input", {
    type: "search",
    id: "address",
    placeholder: "10.1.2.3, 10.1.0.0/16, 2001:db8::/32",
    "aria-label": t("searchAddress"),
    autocomplete: "off",
    spellcheck: "false",
  });
  private readonly lengths: HTMLSelectElement;
  private readonly when = new When((from, to) =>
    this.change({ range: this.state.range.between(from, to, now()) }),
  );
  private readonly note = element("p", { class: "note", id: "found-note", role: "status" });
  private readonly place = element("div", { class: "wide", id: "found" });
  private readonly csv = element("a", { id: "found-csv" }, t("csv"));
  private readonly unfollow = followAll(() => {});
  private turn = 0;

  constructor(
    main: HTMLElement,
    private state: TalkersState,
  ) {
    const some = LENGTHS.filter((length) => length <= LONGEST);
    const options = some.map((length) =>
      element("option", { value: String(length) }, t("alertsLast", units.span(length))),
    );
    const other = element("option", { value: "", hidden: "" }, t("otherRange"));
    const about = { id: "found-range", "aria-label": t("range") };
    this.lengths = element("select", about, ...options, other);
    this.lengths.addEventListener("change", () =>
      this.change({ range: TimeRange.last(Number(this.lengths.value)) }),
    );
    const go = element("button", { type: "submit", id: "find" }, t("search"));
    const form = element("form", { class: "tools", id: "talkers-search", role: "search" });
    form.append(this.field, this.lengths, go, element("span", { class: "grow" }), this.csv);
    form.noValidate = true;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.change({ address: this.field.value.trim() });
    });
    this.field.value = state.address;
    const title = element("h2", {}, t("talkersSearch"));
    const hint = element("p", { class: "note" }, t("talkersSearchHint"));
    main.append(title, hint, form, this.when.element, this.note, this.place);
    showTitle(t("talkers"));
    void this.load();
  }

  leave(): void {
    this.over.abort();
    this.unfollow();
  }

  private change(how: Partial<TalkersState>): void {
    this.state = { ...this.state, ...how };
    keepAddress(talkersAddress(this.state));
    void this.load();
  }

  private async load(): Promise<void> {
    const { range, address } = this.state;
    const [from, to] = range.limits(now());
    this.when.show(range, now());
    this.lengths.value = range.live ? String(range.length) : "";
    this.turn += 1;
    const { turn } = this;
    this.csv.hidden = address === "";
    this.csv.href = searchCsv({ address, from, to });
    if (address === "") {
      this.place.replaceChildren();
      write(this.note, "");
      return;
    }
    write(this.note, t("searching"));
    try {
      const result = await searched({ address, from, to }, this.over.signal);
      if (turn === this.turn) this.draw(result);
    } catch (error) {
      if (this.over.signal.aborted || turn !== this.turn) return;
      this.place.replaceChildren();
      write(this.note, t("failed", reasonOf(error)));
    }
  }

  private draw({ found, truncated, unreadable }: SearchResult): void {
    const notes = [];
    if (found.length === 0) notes.push(t("foundNone"));
    if (truncated) notes.push(t("foundMore", found.length));
    if (unreadable > 0) notes.push(t("foundUnreadable", units.exact(unreadable)));
    write(this.note, notes.join(" "));
    this.place.replaceChildren(...(found.length === 0 ? [] : [table(found)]));
  }
}

/** The NIC's page around the time, with its talkers. */
function pageOf({ client, nic, direction, first, last }: Found): string {
  const begin = Date.parse(first);
  const length = Math.max(0, Date.parse(last) - begin);
  return askForTalkers(momentAddress(client, nic, begin, length), { ...USUAL, direction });
}

function table(found: readonly Found[]): HTMLElement {
  const head = [
    t("client"),
    t("foundNic"),
    t("talkersWay"),
    t("total"),
    t("talkersSure"),
    t("talkersPackets"),
    t("foundFirst"),
    t("foundLast"),
  ];
  const heads = head.map((text) => element("th", { scope: "col" }, text));
  const rows = found.map((it) => {
    const name = it.alias ? `${it.client} (${it.alias})` : it.client;
    const link = element("a", { href: pageOf(it) }, name);
    const cells = [
      it.nic,
      t(it.direction === "rx" ? "received" : "transmitted"),
      units.bytes(it.bytes),
      sureness(it.error_bytes),
      units.exact(it.packets),
      moment(Date.parse(it.first)),
      moment(Date.parse(it.last)),
    ];
    const title = element("th", { scope: "row" }, link);
    return element(
      "tr",
      { "data-found": `${it.client} ${it.nic} ${it.direction}` },
      title,
      ...cells.map((text) => element("td", {}, text)),
    );
  });
  const thead = element("thead", {}, element("tr", {}, ...heads));
  return element("table", {}, thead, element("tbody", {}, ...rows));
}

/** Shows the search until the function that it gives is called. */
export function showTalkers(main: HTMLElement, state: TalkersState): () => void {
  const page = new TalkersPage(main, state);
  return () => page.leave();
}
