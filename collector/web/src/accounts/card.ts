// One account: its running cycle, its NICs, and the frozen cycles.

import { clientAddress } from "../address";
import { element, onChange, write } from "../dom";
import { t } from "../i18n";
import { moment } from "../time";
import * as units from "../units";
import { TimeRange } from "../view/range";
import { csvOf, type Share, type Statement } from "./api";
import {
  billed,
  type Figure,
  figures,
  fullness,
  historyCells,
  type Warned,
  warned,
} from "./figures";
import { CellTable } from "./table";

/** More NICs than this are shown when they are asked for. */
const NICS_SHOWN = 8;

/** What a cycle's figures and notes are drawn of. */
interface Drawn {
  percents: [used: number | null, projected: number | null];
  rows: Figure[];
  warnings: Warned[];
  unknown: string[];
}

function row({ id, name, value, kind }: Figure): HTMLElement {
  const figure = element("dd", { "data-figure": id, class: kind }, value);
  return element("div", {}, element("dt", {}, name), figure);
}

/** How much of the quota is used, and how much will be. */
function meter([used, projected]: Drawn["percents"]): HTMLElement[] {
  if (used === null) return [];
  const bar = (percent: number, kind: string): HTMLElement => {
    const made = element("i", { class: kind });
    made.style.width = `${Math.min(100, percent)}%`;
    return made;
  };
  const ahead = projected === null ? [] : [bar(projected, "ahead")];
  const bars = [...ahead, bar(used, `used ${fullness(used)}`)];
  return [element("div", { class: "meter", "aria-hidden": "true" }, ...bars)];
}

/** A NIC's page in a cycle, as far as it has run. */
function nicAddress({ client, nic }: Share, { from, as_of }: Statement): string {
  const [begin, end] = [Date.parse(from), Date.parse(as_of)];
  const range = TimeRange.last(0).between(begin, Math.max(begin + 1, end), end);
  return clientAddress(client, { nic, who: null, range, peaks: true, log: false });
}

const link = (about: Record<string, string>, text: string) => (): HTMLElement =>
  element("a", about, text);

export class Card {
  readonly element: HTMLElement;
  private readonly time = element("p", { class: "note" });
  private readonly bar = element("div");
  private readonly list = element("dl");
  private readonly notes = element("ul");
  private readonly count = element("summary");
  private readonly nics: CellTable;
  private readonly allNics: HTMLDetailsElement;
  private readonly past: CellTable;
  private statement: Statement | undefined;

  constructor(readonly account: string) {
    const heads = [t("accountNic"), t("rx"), t("tx"), t("accountUnmeasured")];
    this.nics = new CellTable(t("nics"), heads, true);
    this.allNics = element("details", {}, this.count, this.nics.element);
    this.allNics.addEventListener("toggle", () => this.showNics());
    const columns = [t("accountCycle"), t("accountUsed"), t("accountMost"), t("p95")];
    this.past = new CellTable(t("accountFrozen"), [...columns, t("accountProvider")]);
    this.past.element.hidden = true;
    this.element = element(
      "section",
      { class: "account", "data-account": account, "aria-label": account },
      ...[element("h2", {}, account), this.time, this.bar, this.list, this.notes],
      ...[this.allNics, this.past.element],
    );
  }

  show(it: Statement): void {
    const first = this.statement === undefined;
    this.statement = it;
    const { cycle, from_told, to_told, terms, as_of, metered } = it;
    const when = t("accountWhen", cycle, from_told, to_told);
    write(this.time, `${when} ${billed(terms)} ${t("accountAsOf", moment(Date.parse(as_of)))}`);
    this.draw({
      percents: [it.used_percent, it.projected_percent],
      rows: figures(it),
      warnings: warned([it]),
      unknown: it.unknown_members,
    });
    write(this.count, t("accountNics", units.exact(metered.nics.length)));
    if (first) this.allNics.open = metered.nics.length <= NICS_SHOWN;
    this.allNics.hidden = metered.nics.length === 0;
    this.showNics();
  }

  showPast(cycles: Statement[]): void {
    this.past.element.hidden = cycles.length === 0;
    const rows = cycles.map((it) => {
      const file = { href: csvOf(this.account, it.cycle), title: t("accountEvidence") };
      const name = link({ ...file, download: `${this.account}-${it.cycle}.csv` }, it.cycle);
      return { name: it.cycle, link: name, cells: historyCells(it) };
    });
    this.past.show(rows);
  }

  private readonly draw = onChange(({ percents, rows, warnings, unknown }: Drawn) => {
    this.bar.replaceChildren(...meter(percents));
    this.list.replaceChildren(...rows.map(row));
    const told = warnings.map(({ time, text, message }) =>
      element("li", { class: "warn", title: message }, t("accountWarned", time, text)),
    );
    const missing = unknown.map((member) => element("li", {}, t("accountUnknown", member)));
    this.notes.replaceChildren(...told, ...missing);
    this.notes.hidden = told.length + missing.length === 0;
  });

  private showNics(): void {
    const it = this.statement;
    if (!(it && this.allNics.open)) return;
    const rows = it.metered.nics.map((share) => {
      const { client, nic, rx_bytes, tx_bytes, missing_ns } = share;
      const missing = missing_ns > 0 ? units.span(missing_ns / 1e6) : "–";
      return {
        name: `${client} ${nic} ${it.cycle}`,
        link: link({ href: nicAddress(share, it) }, `${client} ${nic}`),
        cells: [units.bytes(rx_bytes), units.bytes(tx_bytes), missing],
      };
    });
    this.nics.show(rows);
  }
}
