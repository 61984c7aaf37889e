// All clients, one row each. Only the rows in sight exist; they are redrawn once per frame.

import type { Client } from "./api";
import { color, element, write } from "./dom";
import { t, type Text } from "./i18n";
import { clients, listen, listeners, now, silence } from "./live";
import * as units from "./units";

const ROW = 44;
const WINDOW = 60;
const RESORT = 2000;
const DROPS_MARKED = 60_000;

type Column = "client" | "rx" | "tx" | "peak";

/** Figures of one client, summed over its NICs. */
interface Row { client: Client; rx: number; tx: number; peak: number; drops: number; lost: { at: number; packets: number }[]; recent: Float64Array; second: number }

const rows = new Map<string, Row>();

function update(client: Client): void {
  const known = rows.get(client.client);
  const row = known ?? { client, rx: 0, tx: 0, peak: 0, drops: -1, lost: [], recent: new Float64Array(2 * WINDOW).fill(-1), second: 0 };
  rows.set(client.client, row);
  row.client = client;
  row.rx = row.tx = row.peak = 0;
  let drops = 0;
  for (const nic of client.nics) {
    drops += nic.drops_total;
    if (!nic.sample || nic.stacked) continue;
    row.rx += nic.sample.rx.bytes_per_second;
    row.tx += nic.sample.tx.bytes_per_second;
    row.peak = Math.max(row.peak, nic.sample.rx.peak_1ms_bytes_per_second, nic.sample.tx.peak_1ms_bytes_per_second);
  }
  if (row.drops >= 0 && drops > row.drops) row.lost.push({ at: now(), packets: drops - row.drops });
  row.drops = drops;
  if (client.nics.every((nic) => nic.sample === null)) return;
  const second = Math.floor(now() / 1000);
  for (let gap = Math.max(row.second + 1, second - WINDOW + 1); gap <= second; gap += 1) {
    row.recent[2 * (gap % WINDOW)] = -1;
    row.recent[2 * (gap % WINDOW) + 1] = -1;
  }
  row.second = second;
  const at = 2 * (second % WINDOW);
  row.recent[at] = Math.max(row.recent[at] ?? 0, row.rx);
  row.recent[at + 1] = Math.max(row.recent[at + 1] ?? 0, row.tx);
}

function sparkline(canvas: HTMLCanvasElement, row: Row, colors: { rx: string; tx: string }): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const most = row.recent.reduce((a, b) => Math.max(a, b), 1);
  const second = Math.floor(now() / 1000);
  const step = width / WINDOW;
  for (let age = 0; age < WINDOW; age += 1) {
    const at = second - age;
    if (at > row.second || at <= row.second - WINDOW) continue;
    const rx = row.recent[2 * (at % WINDOW)] ?? -1;
    const tx = row.recent[2 * (at % WINDOW) + 1] ?? -1;
    const x = width - (age + 1) * step;
    context.fillStyle = colors.rx;
    if (rx >= 0) context.fillRect(x, height / 2 - (rx / most) * height / 2, step, Math.max(1, (rx / most) * height / 2));
    context.fillStyle = colors.tx;
    if (tx >= 0) context.fillRect(x, height / 2, step, Math.max(1, (tx / most) * height / 2));
  }
}

/** The marks of a client: text and how bad it is. */
function marks(row: Row): [string, string][] {
  const { client } = row;
  const list: [string, string][] = [];
  const silent = silence(client);
  if (!client.up) list.push([t("down"), "bad"]);
  else if (silent > 0) list.push([t("stale", units.span(silent)), "warn"]);
  row.lost = row.lost.filter(({ at }) => now() - at < DROPS_MARKED);
  const lost = row.lost.reduce((sum, { packets }) => sum + packets, 0);
  if (lost > 0) list.push([t("lossMark", units.count(lost)), "bad"]);
  const offset = (client.clock_offset_ns ?? 0) / 1e6;
  if (Math.abs(offset) > Math.max(1, client.host.sample_interval_ns / 1e6)) list.push([t("clock", units.offset(offset)), "warn"]);
  return list;
}

export function showOverview(main: HTMLElement): () => void {
  let sort: Column = "rx";
  let descending = true;
  const search = element("input", { type: "search", id: "search", placeholder: t("searchHint") });
  const summary = element("p", { id: "summary", "aria-live": "off" });
  const head = element("div", { role: "row", class: "row head" });
  const canvas = element("div", { class: "rows", role: "rowgroup" });
  const scroll = element("div", { class: "scroll", tabindex: "0" }, canvas);
  const table = element("div", { role: "table", id: "clients", "aria-label": t("client") }, head, scroll);
  const waiting = element("section", { id: "waiting" }, element("h2", {}, t("waiting")), element("p", {}, t("enrol")));
  main.append(element("p", { class: "tools" }, element("label", { for: "search" }, t("search")), search, summary), waiting, table);

  const heads = ["client", "recent", "rx", "tx", "peak", "lostPackets"] as Text[];
  const sortable = heads.map((name) => {
    const cell = element("span", { role: "columnheader" });
    if (name === "recent" || name === "lostPackets") cell.append(t(name));
    else {
      const control = element("button", { type: "button", "data-sort": name }, t(name));
      control.addEventListener("click", () => {
        descending = sort === name ? !descending : name !== "client";
        sort = name as Column;
        arrange();
      });
      cell.append(control);
    }
    head.append(cell);
    return [name, cell] as const;
  });

  let order: Row[] = [];
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  function arrange(): void {
    const wanted = search.value.trim().toLowerCase();
    for (const id of rows.keys()) if (!clients.has(id)) rows.delete(id);
    order = [...rows.values()].filter(({ client }) => `${client.client} ${client.alias}`.toLowerCase().includes(wanted));
    const sign = descending ? -1 : 1;
    const value = (a: Row, b: Row) => (sort === "client" ? compare(a.client.alias || a.client.client, b.client.alias || b.client.client) : a[sort] - b[sort]);
    order.sort((a, b) => sign * value(a, b) || compare(a.client.client, b.client.client));
    for (const [name, cell] of sortable) cell.setAttribute("aria-sort", name === sort ? (descending ? "descending" : "ascending") : "none");
    table.setAttribute("aria-rowcount", String(order.length + 1));
    waiting.hidden = clients.size > 0;
    table.hidden = clients.size === 0;
    canvas.style.height = `${order.length * ROW}px`;
    plan();
  }

  const makeRow = () => {
    const title = element("a");
    const note = element("span", { class: "note" });
    const tags = element("span", { class: "marks" });
    const drawn = element("canvas", { width: "120", height: "32", "aria-hidden": "true" });
    const cells = [0, 1, 2, 3].map(() => element("span", { role: "cell", class: "figure" }));
    const row = element("div", { role: "row", class: "row" }, element("span", { role: "cell" }, title, note, tags), element("span", { role: "cell" }, drawn), ...cells);
    canvas.append(row);
    return { row, title, note, tags, drawn, cells };
  };
  const pool: ReturnType<typeof makeRow>[] = [];

  let planned = 0;
  const plan = () => { planned ||= requestAnimationFrame(draw); };
  function draw(): void {
    planned = 0;
    const colors = { rx: color("rx"), tx: color("tx") };
    const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - 4);
    const fit = Math.ceil((scroll.clientHeight || 600) / ROW) + 8;
    const seen = order.slice(first, first + fit);
    while (pool.length < seen.length) pool.push(makeRow());
    pool.forEach((place, index) => {
      const row = seen[index];
      place.row.hidden = !row;
      if (!row) return;
      const { client } = row;
      place.row.style.transform = `translateY(${(first + index) * ROW}px)`;
      place.row.setAttribute("aria-rowindex", String(first + index + 2));
      place.row.dataset.client = client.client;
      place.title.href = `#/client/${encodeURIComponent(client.client)}`;
      write(place.title, client.alias || client.client);
      write(place.note, client.alias && client.alias !== client.client ? client.client : "");
      const told = marks(row);
      const text = told.map(([mark, kind]) => kind + mark).join("|");
      if (place.tags.dataset.told !== text) {
        place.tags.dataset.told = text;
        place.tags.replaceChildren(...told.map(([mark, kind]) => element("span", { class: `mark ${kind}` }, mark)));
      }
      const stale = !client.up || silence(client) > 0;
      place.row.classList.toggle("stale", stale);
      const figures = stale ? ["–", "–", "–"] : [units.rate(row.rx), units.rate(row.tx), units.rate(row.peak)];
      [...figures, units.count(row.drops)].forEach((figure, at) => write(place.cells[at] as HTMLElement, figure));
      sparkline(place.drawn, row, colors);
    });
    const up = [...clients.values()].filter((client) => client.up).length;
    write(summary, t("connected", up, clients.size));
  }

  const onUpdate = (told: Client[], structural: boolean) => {
    told.forEach(update);
    if (structural) arrange(); else plan();
  };
  listeners.add(onUpdate);
  for (const client of clients.values()) update(client);
  search.addEventListener("input", arrange);
  scroll.addEventListener("scroll", plan);
  const sorting = setInterval(arrange, RESORT);
  listen();
  arrange();
  return () => { listeners.delete(onUpdate); clearInterval(sorting); cancelAnimationFrame(planned); };
}
