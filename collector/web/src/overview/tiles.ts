// Figures of all clients in sight: now, and over the last hour.

import { DIRECTIONS, type Direction } from "../api";
import { element, write } from "../dom";
import { type Text, t } from "../i18n";
import { now } from "../presence";
import { color } from "../theme";
import { clock } from "../time";
import * as units from "../units";
import { type History, MINUTE, MINUTES, type Sums } from "./history";
import { needy, type Row } from "./rows";

const HEIGHT = 30;

/** A figure. */
class Tile {
  readonly value: HTMLElement;
  readonly element: HTMLElement;
  /** The same of all clients, where only some are in sight. */
  private readonly all = element("small", { class: "note" });

  constructor(id: string, name: Text, kind = "") {
    this.value = element("strong", { id, class: kind });
    const head = element("span", {}, t(name), " ", this.all);
    this.element = element("div", { class: "tile" }, head, this.value);
  }

  write(shown: string, all: string): void {
    write(this.value, shown);
    write(this.all, shown === all ? "" : t("ofAllClients", all));
  }
}

/** A rate, and how it was in the last hour. */
class RateTile extends Tile {
  private readonly canvas = element("canvas", { role: "img" });
  private drawn = "";

  constructor(
    id: string,
    private readonly name: Text,
    private readonly direction: Direction,
  ) {
    super(id, name, direction);
    this.element.classList.add("rates");
    this.element.append(this.canvas);
  }

  draw(sums: Sums, version: string, first: number): void {
    const width = this.canvas.clientWidth;
    const { theme } = document.documentElement.dataset;
    const key = `${version} ${width} ${theme} ${units.unit()}`;
    if (key === this.drawn || width === 0) return;
    this.drawn = key;
    const rates = sums[this.direction];
    const most = Math.max(...rates.map((rate) => rate ?? 0));
    const highest = rates.indexOf(most);
    const about = t(
      "hourOf",
      t(this.name),
      units.rate(most),
      clock(first + highest * MINUTE, MINUTE),
    );
    this.canvas.setAttribute("aria-label", about);
    this.canvas.title = about;
    const scale = devicePixelRatio;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = HEIGHT * scale;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    context.fillStyle = color(this.direction);
    const step = width / MINUTES;
    rates.forEach((rate, index) => {
      if (rate === null) return;
      const size = Math.max(1, (rate / Math.max(1, most)) * HEIGHT);
      context.fillRect(index * step, HEIGHT - size, Math.max(1, step - 0.5), size);
    });
  }
}

export class Tiles {
  readonly element: HTMLElement;
  private readonly rates = {
    rx: new RateTile("total-rx", "rx", "rx"),
    tx: new RateTile("total-tx", "tx", "tx"),
  };
  private readonly connected = new Tile("connected", "clientsConnected");
  private readonly lost = new Tile("total-lost", "lostHour");
  private readonly troubled = new Tile("troubled", "attention");

  constructor() {
    const { rates, connected, lost, troubled } = this;
    const tiles = [rates.rx, rates.tx, connected, lost, troubled];
    this.element = element("div", { class: "tiles" }, ...tiles.map((tile) => tile.element));
  }

  /** `rows`: all of them; `shown`: those that are not filtered out. */
  show(rows: Row[], shown: Row[]): void {
    const rate = (of: Row[], direction: Direction): string =>
      units.rate(
        of.reduce((sum, row) => sum + (row.stale ? 0 : row.client[direction].bytes_per_second), 0),
      );
    for (const direction of DIRECTIONS) {
      this.rates[direction].write(rate(shown, direction), rate(rows, direction));
    }
    const up = (of: Row[]) => of.filter(({ client }) => client.up).length;
    const connected = (of: Row[]) => t("ofAll", up(of), of.length);
    this.connected.write(connected(shown), connected(rows));
    const lost = (of: Row[]) =>
      of.reduce((sum, { client }) => sum + (client.hour?.lost?.packets ?? 0), 0);
    this.lost.write(units.count(lost(shown)), units.count(lost(rows)));
    this.lost.value.className = lost(shown) > 0 ? "bad" : "good";
    const count = (of: Row[]) => String(of.filter(needy).length);
    this.troubled.write(count(shown), count(rows));
    this.troubled.value.className = shown.some(needy) ? "bad" : "good";
  }

  /** Draws the last hour. `version`: what the sums are of. */
  draw(sums: Sums, version: string): void {
    const first = (Math.floor(now() / MINUTE) - MINUTES + 1) * MINUTE;
    for (const direction of DIRECTIONS) this.rates[direction].draw(sums, version, first);
  }
}

/** What rows carried in each minute of the hour. */
export const sumsOf = (history: History, rows: Row[]): Sums =>
  history.sums(rows.map(({ client }) => client.client));
