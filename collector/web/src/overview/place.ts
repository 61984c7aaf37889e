// One place of the table, which shows one row after another.

import { type Column, clientPath, groupPath, momentAddress } from "../address";
import type { LostPackets, Moment, Peak, Summary } from "../api";
import { button, element, write } from "../dom";
import { nameOf as nameOfGroup } from "../groups/now";
import { t } from "../i18n";
import { lossesTitle } from "../losses";
import { now } from "../presence";
import { pathOf, type Subject } from "../subject";
import type { Tags } from "../tags";
import { moment as inFull } from "../time";
import * as units from "../units";
import type { Choosing } from "./choosing";
import { type GroupRow, isGroup } from "./groups";
import { BAR, type History, MINUTE, MINUTES } from "./history";
import { nameOf, packets, type Row } from "./rows";
import { sparkline } from "./sparkline";
import { directionName, timeOf } from "./trouble";

/** How often the end of a sparkline moves, milliseconds. */
const MOVES = 2000;
const NONE = "–";

/** A figure that leads to a moment. */
class MomentCell {
  readonly link = element("a");
  private readonly value = element("span");
  private readonly time = element("small");
  private shown = "";

  constructor(readonly cell: HTMLElement) {
    this.link.append(this.value, " ", this.time);
    cell.append(this.link);
  }

  /** `of`: whose it is, unless the moment says so. */
  show(of: string, moment: Moment | null | undefined, value: string, meaning: string): void {
    write(this.value, moment ? value : NONE);
    const client = moment?.client ?? of;
    const key = moment ? `${client} ${moment.nic} ${moment.time} ${value}` : "";
    if (key === this.shown) return;
    this.shown = key;
    if (!moment) {
      this.link.removeAttribute("href");
      write(this.time, "");
      this.cell.title = "";
      return;
    }
    const time = Date.parse(moment.time);
    this.link.href = momentAddress(client, moment.nic, time, moment.interval_ns / 1e6);
    write(this.time, timeOf(moment));
    this.cell.title = meaning;
  }
}

/** What is done with rows. */
export interface RowActions {
  choosing: Choosing;
  /** Shows or hides the clients of a group. */
  turn: (value: string) => void;
  /** Searches for a tag, or no longer. */
  search: (tag: Tags[number]) => void;
}

export class Place {
  readonly element: HTMLElement;
  /** What the keyboard goes to. */
  readonly title = element("a");
  private readonly box = element("input", { type: "checkbox", class: "choose" });
  private readonly turn = button("", "", () => this.turned());
  private readonly note = element("span", { class: "note" });
  private readonly marks = element("span", { class: "marks" });
  private readonly canvas = element("canvas", { "aria-hidden": "true" });
  private readonly link = element("small");
  private readonly share = element("span");
  private readonly cells = new Map<Column, HTMLElement>();
  private readonly moments = new Map<Column, MomentCell>();
  private marked = "";
  private tagged = "";
  private drawn = "";
  private row: Row | undefined;

  constructor(
    columns: readonly Column[],
    private readonly history: History,
    private readonly on: RowActions,
  ) {
    this.element = element("div", { role: "row", class: "row" });
    this.turn.className = "turn";
    this.box.addEventListener("change", () => {
      if (this.row) on.choosing.choose(pathOf(subjectOf(this.row)), this.box.checked);
    });
    for (const column of columns) this.element.append(this.makeCell(column));
    this.element.addEventListener("click", (event) => this.clicked(event));
  }

  private makeCell(column: Column): HTMLElement {
    const cell = element("span", { role: "cell", class: `figure ${column}` });
    this.cells.set(column, cell);
    if (column === "client") {
      cell.className = "name";
      cell.append(this.box, this.turn, this.title, this.note, this.marks);
    } else if (column === "recent") {
      cell.className = "recent";
      cell.append(this.canvas);
    } else if (column === "utilisation") cell.append(this.link, this.share);
    else if (column === "peak" || column === "peak10" || column === "lost") {
      this.moments.set(column, new MomentCell(cell));
    }
    return cell;
  }

  /** A click on a link is the link's; on the last hour it leads to that minute, elsewhere to the
   *  client. */
  private clicked(event: MouseEvent): void {
    const target = event.target as Element;
    if (target.closest("a, button, input")) return;
    if (this.row && isGroup(this.row)) {
      this.turned();
      return;
    }
    if (target !== this.canvas || !this.row) {
      this.title.click();
      return;
    }
    const { client, clock_offset_ns } = this.row.client;
    const minute = Math.floor(event.offsetX / BAR) - (MINUTES - 1);
    const time = (Math.floor(now() / MINUTE) + minute) * MINUTE + (clock_offset_ns ?? 0) / 1e6;
    const nic = this.row.client.utilisation?.nic ?? this.row.client.hour?.peak_1ms?.nic ?? "";
    location.hash = momentAddress(client, nic, time, MINUTE);
  }

  show(row: Row | undefined, top: number, index: number, troubled: boolean, height: number): void {
    this.element.hidden = !row;
    this.row = row;
    if (!row) return;
    const { client } = row.client;
    const { style, classList, dataset } = this.element;
    style.transform = `translateY(${top}px)`;
    style.height = `${height}px`;
    classList.toggle("troubled", troubled);
    classList.toggle("stale", row.stale);
    this.element.setAttribute("aria-rowindex", String(index + 2));
    dataset.client = client;
    if (isGroup(row)) this.nameGroup(row);
    else this.nameClient(row);
    this.showBox(row);
    this.showMarks(row);
    this.showFigures(row.client, row.stale);
    if (isGroup(row)) this.put("state", upOf(row));
    this.showTags(row);
    this.draw(row);
  }

  private nameClient(row: Row): void {
    const { client, alias } = row.client;
    this.element.classList.remove("group");
    this.turn.hidden = true;
    this.title.href = clientPath(client);
    const more = alias && alias !== client ? client : "";
    this.name(nameOf(row), more && ` (${more})`);
    write(this.note, more);
  }

  private nameGroup({ group }: GroupRow): void {
    const { tag, open, rows } = group;
    const name = nameOfGroup([tag]);
    this.element.classList.add("group");
    this.turn.hidden = false;
    write(this.turn, open ? "▾" : "▸");
    this.turn.setAttribute("aria-expanded", String(open));
    this.turn.setAttribute("aria-label", t("turn", name));
    this.title.href = groupPath([tag]);
    this.name(name);
    write(this.note, `(${rows.length})`);
  }

  /** Names the row. Where a name has no room, it is told in full in its title. */
  private name(name: string, more = ""): void {
    write(this.title, name);
    const full = name + more;
    if (this.title.title !== full) this.title.title = full;
  }

  private turned(): void {
    if (this.row && isGroup(this.row)) this.on.turn(this.row.group.tag[1]);
  }

  private showBox(row: Row): void {
    const { choosing } = this.on;
    this.box.hidden = !choosing.on;
    if (!choosing.on) return;
    this.box.checked = choosing.has(pathOf(subjectOf(row)));
    this.box.setAttribute("aria-label", t("chooseIt", this.title.textContent ?? ""));
  }

  private showTags(row: Row): void {
    const cell = this.cells.get("tags");
    if (!cell) return;
    const tags = Object.entries(row.client.tags);
    const key = tags.join();
    if (key === this.tagged) return;
    this.tagged = key;
    const buttons = tags.map((tag) => {
      const made = button(tag.join("="), "", () => this.on.search(tag));
      made.title = t("searchTag");
      return made;
    });
    cell.replaceChildren(...buttons);
  }

  private showMarks({ client, marks }: Row): void {
    const key = `${client.client} ${marks.map(({ text, kind }) => kind + text).join("|")}`;
    if (key === this.marked) return;
    this.marked = key;
    const shown = marks.map(({ text, kind, moment }) => {
      const about = { class: `mark ${kind}` };
      if (!moment) return element("span", about, text);
      const { nic, time, interval_ns } = moment;
      const href = momentAddress(client.client, nic, Date.parse(time), interval_ns / 1e6);
      return element("a", { ...about, href }, text);
    });
    this.marks.replaceChildren(...shown);
    this.marks.title = marks.map(({ text }) => text).join("\n");
  }

  private put(column: Column, text: string): void {
    const cell = this.cells.get(column);
    if (cell) write(cell, text);
  }

  private showFigures(client: Summary, stale: boolean): void {
    const live = (text: () => string): string => (stale ? NONE : text());
    const { rx, tx, drops_total, hour } = client;
    this.put(
      "rx",
      live(() => units.rate(rx.bytes_per_second)),
    );
    this.put(
      "tx",
      live(() => units.rate(tx.bytes_per_second)),
    );
    this.put(
      "packets",
      live(() => units.count(packets(client))),
    );
    this.put("drops", units.count(drops_total));
    this.put("state", stateOf(client));
    const losses = this.cells.get("drops");
    if (losses) losses.title = lossesTitle(client);
    const state = this.cells.get("state");
    if (state) state.title = client.since ? inFull(Date.parse(client.since)) : "";
    this.showUtilisation(client, stale);
    this.showPeak("peak", client, hour?.peak_1ms);
    this.showPeak("peak10", client, hour?.peak_10ms);
    this.showLost(client, hour?.lost);
  }

  private showUtilisation({ utilisation }: Summary, stale: boolean): void {
    const cell = this.cells.get("utilisation");
    if (!cell) return;
    const known = stale ? null : utilisation;
    write(this.link, known ? (known.client ?? `${known.nic} ${known.direction}`) : "");
    write(this.share, known ? units.percent(known.share) : NONE);
    const share = Math.min(1, known?.share ?? 0);
    cell.style.setProperty("--share", `${(share * 100).toFixed(1)}%`);
    cell.dataset.direction = known?.direction ?? "";
    const { nic, direction, speed_bits_per_second } = known ?? {};
    const about =
      nic && direction
        ? `${owner(known)}${nic}, ${directionName(direction)}, ${units.speed(speed_bits_per_second ?? 0)}`
        : t("noSpeed");
    if (cell.title !== about) cell.title = about;
  }

  private showPeak(column: Column, { client }: Summary, peak: Peak | null | undefined): void {
    const cell = this.moments.get(column);
    if (!cell) return;
    const rate = peak ? units.rate(peak.bytes_per_second) : "";
    const share = peak?.share ? `, ${units.percent(peak.share)}` : "";
    const meaning = peak
      ? `${owner(peak)}${peak.nic}, ${directionName(peak.direction)}${share}, ${inFull(Date.parse(peak.time))}`
      : "";
    cell.show(client, peak, rate, meaning);
  }

  private showLost({ client }: Summary, lost: LostPackets | null | undefined): void {
    const cell = this.moments.get("lost");
    if (!cell) return;
    const meaning = lost
      ? t("lostLast", units.exact(lost.packets), lost.nic, inFull(Date.parse(lost.time)))
      : "";
    cell.show(client, lost, lost ? units.count(lost.packets) : "", meaning);
    cell.cell.classList.toggle("bad", Boolean(lost));
  }

  /** Draws the last hour, unless it is there already. */
  private draw(row: Row): void {
    const { client, stale } = row;
    const { canvas, history } = this;
    if (!this.cells.has("recent")) return;
    const height = this.element.clientHeight < 24 ? 14 : 22;
    const time = now();
    const moves = stale ? Math.floor(time / MINUTE) : Math.floor(time / MOVES);
    const { theme } = document.documentElement.dataset;
    const key = [client.client, history.version, moves, stale, height, theme].join(" ");
    if (key === this.drawn) return;
    this.drawn = key;
    const [rx, tx] = [client.rx.bytes_per_second, client.tx.bytes_per_second];
    const shift = Math.max(0, history.place(time) - (MINUTES - 1));
    const known = history.version > 0 ? Math.min(MINUTES, shift) : 0;
    const ids = isGroup(row) ? row.group.rows.map(({ client }) => client.client) : null;
    const minutes = ids ? history.together(client.client, ids) : history.of(client.client);
    sparkline(canvas, height, minutes, stale ? null : { rx, tx }, known);
  }
}

/** Whose a figure of a group is. */
const owner = (of: { client?: string } | null): string => (of?.client ? `${of.client} ` : "");

const upOf = ({ group }: GroupRow): string =>
  t("ofAllUp", group.rows.filter(({ client }) => client.up).length, group.rows.length);

const subjectOf = (row: Row): Subject =>
  isGroup(row)
    ? { kind: "group", tags: [row.group.tag] }
    : { kind: "client", client: row.client.client };

function stateOf({ up, elsewhere, since, last_seen }: Summary): string {
  if (up && elsewhere) return t("elsewhereShort");
  const length = units.span(
    Math.floor(Math.max(0, now() - Date.parse(since ?? last_seen)) / 1000) * 1000,
  );
  return t(up ? "upFor" : "downSince", length);
}
