// The rows of one client: one for itself with the sums of its NICs, and one for each NIC.

import { History } from "./history.js";
import * as format from "./format.js";

/// A NIC is stale after so many of its usual pauses, but not before so long, milliseconds.
const STALE_PAUSES = 3;
const STALE = 5000;

/// Drops stay marked for so long, milliseconds.
const DROPS_MARKED = 60_000;

/// Points asked for to fill a history.
const POINTS = 150;

function element(tag, className, ...children) {
  const it = document.createElement(tag);
  it.className = className;
  it.append(...children);
  return it;
}

function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/// A cell with a number and its unit.
class Cell {
  constructor(className) {
    this.value = element("span", "value");
    this.unit = element("span", "unit");
    this.cell = element("td", className, this.value, this.unit);
  }

  show([value, unit]) {
    write(this.value, value);
    write(this.unit, unit);
  }
}

/// A short remark beside a name, hidden while it has no text.
class Mark {
  constructor(className = "") {
    this.mark = element("span", `mark ${className}`);
    this.mark.hidden = true;
  }

  show(text) {
    write(this.mark, text);
    this.mark.hidden = text === "";
  }
}

/// The four figures of one direction.
class Direction {
  constructor() {
    this.rate = new Cell("rate first");
    this.packets = new Cell("short");
    this.size = new Cell("short");
    this.peak = new Cell("");
    this.cells = [this.rate, this.packets, this.size, this.peak].map((it) => it.cell);
  }

  show(bytes, packets, mean, peak) {
    this.rate.show(format.rate(bytes));
    this.packets.show(format.count(packets));
    this.size.show(format.size(mean));
    this.peak.show(peak === null ? ["", ""] : format.rate(peak));
  }

  showNothing() {
    for (const cell of [this.rate, this.packets, this.size, this.peak]) cell.show(format.NOTHING);
  }
}

const colors = {};
function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["rx", "tx", "line"]) colors[name] = style.getPropertyValue(`--${name}`);
}
readColors();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);

/// Histories are filled from the store when they come into sight, one after the other.
let filling = Promise.resolve();
const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    filling = filling.then(() => target.fill()).catch(() => {});
  }
});

class NicRow {
  #told;
  #client;
  #history = new History();
  #observed = 0;
  #pause = 0;
  #drops = [];
  #rx = new Direction();
  #tx = new Direction();
  #title = element("span", "title");
  #note = element("span", "note");
  #stacked = new Mark();
  #link = new Mark("warn");
  #stale = new Mark("warn");
  #canvas = element("canvas", "");
  #dropped = new Cell("short");

  constructor(client, told) {
    this.#client = client;
    this.#canvas.setAttribute("aria-hidden", "true");
    this.#canvas.fill = () => this.#fill();
    sight.observe(this.#canvas);
    const head = element("th", "name", this.#title, this.#note,
      this.#stacked.mark, this.#link.mark, this.#stale.mark);
    head.scope = "row";
    this.row = element("tr", "nic", head, element("td", "history", this.#canvas),
      ...this.#rx.cells, ...this.#tx.cells, this.#dropped.cell);
    write(this.#title, told.nic);
    this.nic = told.nic;
  }

  update(told, now) {
    const dropped = told.drops_total - (this.#told?.drops_total ?? told.drops_total);
    if (dropped > 0) this.#drops.push({ at: now, dropped });
    this.#told = told;
    const facts = [told.kind, told.speed_bits_per_second && format.speed(told.speed_bits_per_second)];
    write(this.#note, facts.filter(Boolean).join(" · "));
    this.#stacked.show(told.stacked ? "stacked" : "");
    this.#link.show(told.up ? "" : "link down");
    const sample = told.sample;
    if (!sample) return;
    const observed = Date.parse(sample.observed);
    if (observed <= this.#observed) return;
    if (this.#observed > 0) this.#pause = observed - this.#observed;
    this.#observed = observed;
    this.#history.add(Date.parse(sample.time) - this.#client.ahead, sample.interval_ns / 1e6,
      sample.rx.bytes_per_second, sample.tx.bytes_per_second);
  }

  /// What the NIC adds to the sums of its client at a time: nothing if it is stale or stacked.
  sums(now) {
    const { sample, stacked } = this.#told;
    this.#drops = this.#drops.filter(({ at }) => now - at < DROPS_MARKED);
    const recent = this.#drops.reduce((sum, { dropped }) => sum + dropped, 0);
    return { recent, sample: stacked || this.#isStale(now) ? null : sample };
  }

  #isStale(now) {
    const pause = Math.max(STALE, STALE_PAUSES * this.#pause);
    return !this.#client.up || now - this.#observed > pause;
  }

  /// Shows the NIC as it is at a time.
  draw(now, recentDrops) {
    const { sample, drops_total: dropsTotal } = this.#told;
    const stale = this.#isStale(now);
    this.row.classList.toggle("stale", stale);
    const silent = sample && stale && this.#client.up;
    this.#stale.show(silent ? `no sample for ${format.span(now - this.#observed)}` : "");
    for (const [cells, told] of [[this.#rx, sample?.rx], [this.#tx, sample?.tx]]) {
      if (told && !stale) {
        cells.show(told.bytes_per_second, told.packets_per_second, told.mean_packet_bytes,
          told.peak_1ms_bytes_per_second);
      } else {
        cells.showNothing();
      }
    }
    this.#dropped.show(format.count(dropsTotal));
    this.#dropped.cell.classList.toggle("bad", recentDrops > 0);
    this.#dropped.cell.title = recentDrops > 0 ? `${recentDrops} in the last minute` : "";
    this.#history.draw(this.#canvas, now, colors);
  }

  async #fill() {
    const query = new URLSearchParams({
      client: this.#client.id,
      nic: this.nic,
      points: String(POINTS),
      resolution: "raw",
    });
    const answer = await fetch(`api/v1/series?${query}`);
    if (!answer.ok) return;
    const { points } = await answer.json();
    this.#history.prepend(points.map(({ time, interval_ns: length, rx, tx }) => ({
      start: Date.parse(time) - this.#client.ahead,
      length: length / 1e6,
      rx: rx.bytes / (length / 1e9),
      tx: tx.bytes / (length / 1e9),
    })));
  }
}

export class ClientRows {
  #told;
  #nics = new Map();
  #title = element("span", "title");
  #note = element("span", "note");
  #down = new Mark("bad");
  #clock = new Mark("warn");
  #rx = new Direction();
  #tx = new Direction();
  #dropped = new Cell("short");

  constructor(told, stream) {
    const head = element("th", "name", this.#title, this.#note, this.#down.mark, this.#clock.mark);
    head.scope = "rowgroup";
    head.colSpan = 2;
    this.head = element("tr", "client", head,
      ...this.#rx.cells, ...this.#tx.cells, this.#dropped.cell);
    this.body = element("tbody", "", this.head);
    this.update(told, stream);
  }

  get id() {
    return this.#told.client;
  }

  get name() {
    return this.#told.alias || this.#told.client;
  }

  get up() {
    return this.#told.up;
  }

  /// By how much the client's clock is ahead of the collector's, milliseconds.
  get ahead() {
    return (this.#told.clock_offset_ns ?? 0) / 1e6;
  }

  matches(wanted) {
    const names = [this.#told.client, this.#told.alias, ...this.#nics.keys()];
    return names.some((name) => name.toLowerCase().includes(wanted));
  }

  update(told, stream) {
    this.#told = told;
    write(this.#title, this.name);
    write(this.#note, told.alias && told.alias !== told.client ? told.client : "");
    const listed = new Set(told.nics.map((nic) => nic.nic));
    for (const [name, nic] of this.#nics) {
      if (listed.has(name)) continue;
      nic.row.remove();
      this.#nics.delete(name);
    }
    told.nics.forEach((nic, index) => {
      let row = this.#nics.get(nic.nic);
      if (!row) {
        row = new NicRow(this, nic);
        this.#nics.set(nic.nic, row);
        this.body.insertBefore(row.row, this.body.rows[index + 1] ?? null);
      }
      row.update(nic, stream.now());
    });
  }

  /// Shows the client as it is at a time, if it is in the table. Answers with its sums, stacked
  /// NICs left out.
  redraw(now) {
    const visible = this.body.isConnected;
    const sum = { rx: { bytes: 0, packets: 0 }, tx: { bytes: 0, packets: 0 }, recentDrops: 0 };
    let measured = false;
    for (const nic of this.#nics.values()) {
      const { recent, sample } = nic.sums(now);
      if (visible) nic.draw(now, recent);
      sum.recentDrops += recent;
      if (!sample) continue;
      measured = true;
      for (const direction of ["rx", "tx"]) {
        sum[direction].bytes += sample[direction].bytes_per_second;
        sum[direction].packets += sample[direction].packets_per_second;
      }
    }
    if (visible) this.#draw(now, measured ? sum : null);
    return sum;
  }

  #draw(now, sum) {
    const { up, last_seen: seen, host, nics } = this.#told;
    this.body.classList.toggle("down", !up);
    this.#down.show(up ? "" : `down for ${format.span(now - Date.parse(seen))}`);
    const interval = host.sample_interval_ns / 1e6;
    const skewed = interval > 0 && Math.abs(this.ahead) > interval;
    this.#clock.show(skewed ? `clock ${format.offset(this.ahead)}` : "");
    for (const [cells, total] of [[this.#rx, sum?.rx], [this.#tx, sum?.tx]]) {
      if (total) {
        // Peaks of several NICs need not fall together: they have no sum.
        const mean = total.packets > 0 ? total.bytes / total.packets : null;
        cells.show(total.bytes, total.packets, mean, null);
      } else {
        cells.showNothing();
      }
    }
    this.#dropped.show(format.count(nics.reduce((sum, nic) => sum + nic.drops_total, 0)));
  }
}
