// All clients, one row each, redrawn once per frame.

import { type Column, type OverviewState, overviewAddress } from "../address";
import type { Direction, Summary } from "../api";
import { button, element, keepAddress, perFrame, showTitle, write } from "../dom";
import { type Text, t } from "../i18n";
import { followAll, summaries } from "../live";
import { health } from "../presence";
import * as units from "../units";
import { arranged, needy, type Row, stale, updated } from "./rows";
import { Table } from "./table";

const RESORT = 2000;
/** By the names that packages install. */
const FIRST_STEPS = [
  "sudo -u network-monitor-collector netmon-collector token",
  "netmon-agent enroll TOKEN",
  "systemctl start network-monitor-agent",
].join("\n");

/** Rows outlast a visit to a client's page. */
const rows = new Map<string, Row>();

/** A figure of all clients. */
class Tile {
  readonly value: HTMLElement;
  readonly element: HTMLElement;

  constructor(id: string, name: Text, kind = "") {
    this.value = element("strong", { id, class: kind });
    this.element = element("div", { class: "tile" }, element("span", {}, t(name)), this.value);
  }
}

class OverviewPage {
  private readonly totalRx = new Tile("total-rx", "rx", "rx");
  private readonly totalTx = new Tile("total-tx", "tx", "tx");
  private readonly connected = new Tile("connected", "clients");
  private readonly troubled = new Tile("troubled", "attention");
  private readonly search: HTMLInputElement;
  private readonly only: HTMLButtonElement;
  private readonly waiting: HTMLElement;
  private readonly nothing = element("p", { id: "nothing", class: "note" }, t("nothing"));
  private readonly frame = perFrame(() => this.draw());
  private readonly table = new Table((column) => this.sortBy(column), this.frame.plan);
  private readonly sorting: ReturnType<typeof setInterval>;
  private readonly unfollow: () => void;

  constructor(
    main: HTMLElement,
    private state: OverviewState,
  ) {
    const hint = { placeholder: t("searchHint"), "aria-label": t("search") };
    this.search = element("input", { type: "search", id: "search", ...hint });
    this.search.value = state.search;
    this.search.addEventListener("input", () => this.change({ search: this.search.value.trim() }));
    this.only = button(t("onlyAttention"), "only", () =>
      this.change({ attention: !this.state.attention }),
    );
    const commands = element("pre", {}, FIRST_STEPS);
    const [title, how] = [element("h2", {}, t("waiting")), element("p", {}, t("enrol"))];
    this.waiting = element("section", { id: "waiting" }, title, how, commands);
    const tiles = [this.totalRx, this.totalTx, this.connected, this.troubled];
    main.append(
      element("div", { class: "tiles" }, ...tiles.map((tile) => tile.element)),
      element("div", { class: "tools" }, this.search, this.only),
      ...[this.waiting, this.table.element, this.nothing],
    );
    showTitle("");
    this.unfollow = followAll((told, structural) => this.onSummaries(told, structural));
    this.sorting = setInterval(() => this.arrange(), RESORT);
    this.arrange();
  }

  leave(): void {
    this.unfollow();
    clearInterval(this.sorting);
    this.frame.stop();
  }

  private onSummaries(told: Summary[], structural: boolean): void {
    for (const client of told) rows.set(client.client, updated(rows.get(client.client), client));
    if (structural) this.arrange();
    else this.frame.plan();
  }

  private sortBy(column: Column): void {
    const { sort, descending } = this.state;
    this.change({
      sort: column,
      descending: sort === column ? !descending : column !== "client",
    });
  }

  private change(how: Partial<OverviewState>): void {
    this.state = { ...this.state, ...how };
    this.arrange();
  }

  private arrange(): void {
    for (const id of rows.keys()) if (!summaries.has(id)) rows.delete(id);
    const order = arranged(rows.values(), this.state);
    this.table.arrange(order, this.state);
    this.only.setAttribute("aria-pressed", String(this.state.attention));
    // Before anything was heard, nothing is known.
    this.waiting.hidden = rows.size > 0 || !health.heardOnce;
    this.table.element.hidden = rows.size === 0;
    this.nothing.hidden = rows.size === 0 || order.length > 0;
    keepAddress(overviewAddress(this.state));
    this.frame.plan();
  }

  private draw(): void {
    this.table.draw();
    if (!health.heardOnce) return;
    const all = [...rows.values()];
    const sum = (direction: Direction): number =>
      all.reduce((sum, row) => sum + (stale(row) ? 0 : row.client[direction].bytes_per_second), 0);
    write(this.totalRx.value, units.rate(sum("rx")));
    write(this.totalTx.value, units.rate(sum("tx")));
    const up = all.filter(({ client }) => client.up).length;
    write(this.connected.value, t("ofAll", up, all.length));
    const count = all.filter(needy).length;
    write(this.troubled.value, String(count));
    this.troubled.value.className = count > 0 ? "bad" : "good";
  }
}

/** Shows all clients until the function that it gives is called. */
export function showOverview(main: HTMLElement, state: OverviewState): () => void {
  const page = new OverviewPage(main, state);
  return () => page.leave();
}
