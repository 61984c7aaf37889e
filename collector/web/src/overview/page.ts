// All clients, one row each, redrawn once per frame.

import { type Column, groupPath, type OverviewState, overviewAddress } from "../address";
import type { Summary } from "../api";
import { element, keepAddress, perFrame, showTitle } from "../dom";
import { t } from "../i18n";
import { followAll, summaries } from "../live";
import { health, now } from "../presence";
import { Choosing } from "./choosing";
import { grouped, isGroup, keysOf, sumUp } from "./groups";
import { follow, History } from "./history";
import { Options } from "./options";
import { arranged, look, type Row, updated } from "./rows";
import { searchOf, withTag } from "./search";
import { Table } from "./table";
import { sumsOf, Tiles } from "./tiles";

const RESORT = 2000;
/** So long after the pointer was moved over the rows they stay where they are. */
const POINTED = 4000;
/** By the names that packages install. */
const FIRST_STEPS = [
  "sudo -u network-monitor-collector netmon-collector token",
  "netmon-agent enroll TOKEN",
  "systemctl start network-monitor-agent",
].join("\n");

/** Rows outlast a visit to a client's page, and so does their last hour. */
const rows = new Map<string, Row>();
const history = new History();

class OverviewPage {
  private readonly tiles = new Tiles();
  private readonly search: HTMLInputElement;
  private readonly options: Options;
  private readonly waiting: HTMLElement;
  private readonly nothing = element("p", { id: "nothing", class: "note" }, t("nothing"));
  private readonly frame = perFrame(() => this.draw());
  private readonly choosing = new Choosing(() => this.frame.plan());
  private readonly table = new Table((column) => this.sortBy(column), this.frame.plan, history, {
    choosing: this.choosing,
    turn: (value) => this.turn(value),
    search: (tag) => this.searchFor(withTag(this.state.search, tag)),
  });
  /** Clients that are not filtered out. */
  private order: Row[] = [];
  /** What is listed: clients, and their groups. */
  private listed: Row[] = [];
  private readonly overTime = element("a", { id: "over-time" }, t("overTime"));
  private pointed = 0;
  private readonly ending: (() => void)[] = [];

  constructor(
    main: HTMLElement,
    private state: OverviewState,
  ) {
    const hint = { placeholder: t("searchHint"), "aria-label": t("search") };
    this.search = element("input", { type: "search", id: "search", ...hint });
    this.search.value = state.search;
    this.search.addEventListener("input", () => this.change({ search: this.search.value.trim() }));
    this.options = new Options(state, (how) => this.change(how));
    const tools = [...this.options.elements, this.choosing.toggle];
    const commands = element("pre", {}, FIRST_STEPS);
    const [title, how] = [element("h2", {}, t("waiting")), element("p", {}, t("enrol"))];
    this.waiting = element("section", { id: "waiting" }, title, how, commands);
    main.append(
      this.tiles.element,
      element("div", { class: "tools" }, this.search, this.overTime, ...tools),
      ...[this.choosing.bar, this.waiting, this.table.element, this.nothing],
    );
    showTitle("");
    this.listen();
    this.arrange();
  }

  leave(): void {
    for (const end of this.ending) end();
    this.frame.stop();
    this.table.leave();
    document.body.classList.remove("dense");
  }

  private listen(): void {
    this.ending.push(followAll((told, structural) => this.onSummaries(told, structural)));
    const sorting = setInterval(() => this.resort(), RESORT);
    this.ending.push(() => clearInterval(sorting));
    const due = () => health.connection === "live" || !health.heardOnce;
    this.ending.push(follow(history, due, now, () => this.resort()));
    this.table.element.addEventListener("pointermove", () => {
      this.pointed = Date.now();
    });
    this.table.element.addEventListener("pointerleave", () => {
      this.pointed = 0;
    });
  }

  private onSummaries(told: Summary[], structural: boolean): void {
    for (const client of told) {
      rows.set(client.client, updated(rows.get(client.client), client, history));
    }
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

  private searchFor(search: string): void {
    this.search.value = search;
    this.change({ search });
  }

  private turn(value: string): void {
    const { closed } = this.state;
    const others = closed.filter((other) => other !== value);
    this.change({ closed: others.length < closed.length ? others : [...closed, value] });
  }

  private change(how: Partial<OverviewState>): void {
    this.state = { ...this.state, ...how };
    this.arrange();
  }

  /** Looks at all rows again; they stay in their order while somebody is about to choose one. */
  private resort(): void {
    if (this.table.busy || Date.now() - this.pointed < POINTED) {
      for (const row of rows.values()) look(row, history);
      this.sumUp();
      this.frame.plan();
    } else this.arrange();
  }

  private arrange(): void {
    for (const id of rows.keys()) if (!summaries.has(id)) rows.delete(id);
    for (const row of rows.values()) look(row, history);
    this.order = arranged(rows.values(), this.state, history);
    this.listed = grouped(this.order, this.state, history);
    this.table.arrange(this.listed, this.state);
    this.options.show(this.state);
    this.options.showGroups(keysOf(summaries.values()), this.listed.filter(isGroup));
    const { tags, text } = searchOf(this.state.search);
    // The store knows tags, but neither texts nor who needs attention.
    this.overTime.hidden = text !== "" || this.state.attention || rows.size === 0;
    this.overTime.href = groupPath(tags);
    document.body.classList.toggle("dense", this.state.dense);
    // Before anything was heard, nothing is known.
    this.waiting.hidden = rows.size > 0 || !health.heardOnce;
    this.table.element.hidden = rows.size === 0;
    this.nothing.hidden = rows.size === 0 || this.order.length > 0;
    keepAddress(overviewAddress(this.state));
    this.sumUp();
    this.frame.plan();
  }

  /** Draws what was carried over time. */
  private sumUp(): void {
    const version = `${history.version} ${this.order.length} ${Math.floor(now() / RESORT)}`;
    this.tiles.draw(sumsOf(history, this.order), version);
  }

  private draw(): void {
    for (const row of this.listed) if (isGroup(row)) sumUp(row);
    this.table.draw();
    if (health.heardOnce) this.tiles.show([...rows.values()], this.order);
  }
}

/** Shows all clients until the function that it gives is called. */
export function showOverview(main: HTMLElement, state: OverviewState): () => void {
  const page = new OverviewPage(main, state);
  return () => page.leave();
}
