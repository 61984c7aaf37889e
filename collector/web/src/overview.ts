// All clients, one row each. Only the rows in sight exist; they are redrawn once per frame.

import { DIRECTIONS, type Summary } from "./api";
import { button, color, element, keepAddress, perFrame, write } from "./dom";
import { lossesTitle } from "./figures";
import { t, type Text } from "./i18n";
import { clockOffset, followAll, gone, now, silence, summaries } from "./live";
import * as units from "./units";

const ROW = 44;
const WINDOW = 60;
const RESORT = 2000;
const DROPS_MARKED = 60_000;

type Column = "client" | "rx" | "tx" | "peak" | "packets" | "drops";
const COLUMNS: [Column | "recent", Text][] = [
  ["client", "client"], ["recent", "recent"], ["rx", "rx"], ["tx", "tx"], ["peak", "peak"], ["packets", "packetRate"], ["drops", "lostPackets"],
];

/** One client with its last minute. */
interface Row { client: Summary; lost: { at: number; packets: number }[]; recent: Float64Array; second: number }

const rows = new Map<string, Row>();
const peak = ({ rx, tx }: Summary) => Math.max(rx.peak_1ms_bytes_per_second, tx.peak_1ms_bytes_per_second);
const values: Record<Exclude<Column, "client">, (client: Summary) => number> = {
  rx: (client) => client.rx.bytes_per_second,
  tx: (client) => client.tx.bytes_per_second,
  peak,
  packets: (client) => client.rx.packets_per_second + client.tx.packets_per_second,
  drops: (client) => client.drops_total,
};

function update(client: Summary): void {
  const row = rows.get(client.client) ?? { client, lost: [], recent: new Float64Array(2 * WINDOW).fill(-1), second: 0 };
  rows.set(client.client, row);
  const more = client.drops_total - row.client.drops_total;
  if (more > 0) row.lost.push({ at: now(), packets: more });
  row.client = client;
  if (client.observed === null) return;
  // By arrival: what an agent's clock says is not needed here.
  const second = Math.floor(Date.parse(client.observed) / 1000);
  for (let gap = Math.max(row.second + 1, second - WINDOW + 1); gap <= second; gap += 1) row.recent.fill(-1, 2 * (gap % WINDOW), 2 * (gap % WINDOW) + 2);
  row.second = Math.max(row.second, second);
  const at = 2 * (second % WINDOW);
  DIRECTIONS.forEach((direction, index) => {
    row.recent[at + index] = Math.max(row.recent[at + index] ?? 0, client[direction].bytes_per_second);
  });
}

function sparkline(canvas: HTMLCanvasElement, row: Row): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const most = row.recent.reduce((a, b) => Math.max(a, b), 1);
  const second = Math.floor(now() / 1000);
  const step = width / WINDOW;
  const middle = height / 2;
  for (let age = 0; age < WINDOW; age += 1) {
    const at = second - age;
    if (at > row.second || at <= row.second - WINDOW) continue;
    DIRECTIONS.forEach((direction, index) => {
      const rate = row.recent[2 * (at % WINDOW) + index] ?? -1;
      if (rate < 0) return;
      context.fillStyle = color(direction);
      const size = Math.max(1, (rate / most) * middle);
      context.fillRect(width - (age + 1) * step, index === 0 ? middle - size : middle, step, size);
    });
  }
}

/** What is to be known of a client: text and how bad it is. */
function marks(row: Row): [string, string][] {
  const { client } = row;
  const list: [string, string][] = [];
  const silent = silence(client.observed, client.sample_interval_ns);
  if (!client.up) list.push([t("downFor", gone(client)), "bad"]);
  else if (client.elsewhere) list.push([t("elsewhere"), ""]);
  else if (silent > 0) list.push([t("stale", units.span(silent)), "warn"]);
  row.lost = row.lost.filter(({ at }) => now() - at < DROPS_MARKED);
  const lost = row.lost.reduce((sum, { packets }) => sum + packets, 0);
  if (lost > 0) list.push([t("lossMark", units.count(lost)), "bad"]);
  if (client.links_down.length > 0) list.push([t("linksDown", client.links_down.join(", ")), "warn"]);
  const offset = clockOffset(client.clock_offset_ns, client.sample_interval_ns);
  if (offset !== 0) list.push([t("clock", units.offset(offset)), "warn"]);
  return list;
}

/** Whether something is wrong with it. */
const needy = (row: Row): boolean => marks(row).some(([, kind]) => kind !== "");

const stale = ({ client }: Row): boolean => !client.up || client.elsewhere || silence(client.observed, client.sample_interval_ns) > 0;

export function showOverview(main: HTMLElement, query: URLSearchParams): () => void {
  const asked = query.get("sort") ?? "";
  let sort: Column = asked in values || asked === "client" ? (asked as Column) : "rx";
  let descending = query.get("order") !== "up";
  let attention = query.get("only") === "attention";

  const search = element("input", { type: "search", id: "search", placeholder: t("searchHint"), "aria-label": t("search") });
  search.value = query.get("search") ?? "";
  const tile = (id: string, name: Text, kind = "") => {
    const value = element("strong", { id, class: kind });
    return [value, element("div", { class: "tile" }, element("span", {}, t(name)), value)] as const;
  };
  const [totalRx, tileRx] = tile("total-rx", "rx", "rx");
  const [totalTx, tileTx] = tile("total-tx", "tx", "tx");
  const [connected, tileConnected] = tile("connected", "clients");
  const [troubled, tileTroubled] = tile("troubled", "attention");
  const only = button(t("onlyAttention"), "only", () => { attention = !attention; arrange(); });
  const head = element("div", { role: "row", class: "row head" });
  const canvas = element("div", { class: "rows", role: "rowgroup" });
  const scroll = element("div", { class: "scroll" }, canvas);
  const table = element("div", { role: "table", id: "clients", "aria-label": t("clients") }, element("div", { role: "rowgroup" }, head), scroll);
  const nothing = element("p", { id: "nothing", class: "note" }, t("nothing"));
  const waiting = element("section", { id: "waiting" }, element("h2", {}, t("waiting")), element("p", {}, t("enrol")),
    element("pre", {}, "collector token\nagent enroll TOKEN\nagent run"));
  main.append(element("div", { class: "tiles" }, tileRx, tileTx, tileConnected, tileTroubled),
    element("div", { class: "tools" }, search, only), waiting, table, nothing);

  const sortable = COLUMNS.map(([name, text]) => {
    const cell = element("span", { role: "columnheader", class: name === "client" || name === "recent" ? "" : "figure" });
    if (name === "recent") cell.append(t(text));
    else {
      const control = button(t(text), "", () => {
        descending = sort === name ? !descending : name !== "client";
        sort = name;
        arrange();
      });
      control.dataset.sort = name;
      cell.append(control);
    }
    head.append(cell);
    return [name, cell] as const;
  });

  let order: Row[] = [];
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  function arrange(): void {
    const wanted = search.value.trim().toLowerCase();
    for (const id of rows.keys()) if (!summaries.has(id)) rows.delete(id);
    order = [...rows.values()].filter(({ client }) => `${client.client} ${client.alias}`.toLowerCase().includes(wanted));
    if (attention) order = order.filter(needy);
    const sign = descending ? -1 : 1;
    const name = ({ client }: Row) => client.alias || client.client;
    const difference = (a: Row, b: Row) => {
      if (sort === "client") return compare(name(a), name(b));
      // What a stale client carried last is not what it carries.
      return (stale(a) && sort !== "drops" ? -1 : values[sort](a.client)) - (stale(b) && sort !== "drops" ? -1 : values[sort](b.client));
    };
    order.sort((a, b) => sign * difference(a, b) || compare(a.client.client, b.client.client));
    for (const [name, cell] of sortable) {
      if (name !== "recent") cell.setAttribute("aria-sort", name === sort ? (descending ? "descending" : "ascending") : "none");
    }
    only.setAttribute("aria-pressed", String(attention));
    table.setAttribute("aria-rowcount", String(order.length + 1));
    waiting.hidden = rows.size > 0;
    table.hidden = rows.size === 0;
    nothing.hidden = rows.size === 0 || order.length > 0;
    canvas.style.height = `${order.length * ROW}px`;
    const state = new URLSearchParams();
    if (wanted) state.set("search", search.value.trim());
    if (sort !== "rx") state.set("sort", sort);
    if (!descending) state.set("order", "up");
    if (attention) state.set("only", "attention");
    keepAddress("/", state);
    frame.plan();
  }

  const makeRow = () => {
    const title = element("a");
    const note = element("span", { class: "note" });
    const tags = element("span", { class: "marks" });
    const drawn = element("canvas", { width: "120", height: "32", "aria-hidden": "true" });
    const cells = [0, 1, 2, 3, 4].map(() => element("span", { role: "cell", class: "figure" }));
    const row = element("div", { role: "row", class: "row" }, element("span", { role: "cell", class: "name" }, title, note, tags), element("span", { role: "cell" }, drawn), ...cells);
    row.addEventListener("click", () => title.click());
    title.addEventListener("click", (event) => event.stopPropagation());
    canvas.append(row);
    return { row, title, note, tags, drawn, cells };
  };
  const pool: ReturnType<typeof makeRow>[] = [];

  function draw(): void {
    const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - 4);
    const seen = order.slice(first, first + Math.ceil((scroll.clientHeight || 600) / ROW) + 8);
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
      place.row.classList.toggle("stale", stale(row));
      const { rx, tx } = client;
      const figures = stale(row) ? ["–", "–", "–", "–"]
        : [units.rate(rx.bytes_per_second), units.rate(tx.bytes_per_second), units.rate(peak(client)), units.count(values.packets(client))];
      [...figures, units.count(client.drops_total)].forEach((figure, at) => write(place.cells[at] as HTMLElement, figure));
      const losses = lossesTitle(client);
      const cell = place.cells[4] as HTMLElement;
      if (cell.title !== losses) cell.title = losses;
      sparkline(place.drawn, row);
    });
    const all = [...rows.values()];
    const sum = (direction: "rx" | "tx") => all.reduce((sum, row) => (stale(row) ? sum : sum + row.client[direction].bytes_per_second), 0);
    write(totalRx, units.rate(sum("rx")));
    write(totalTx, units.rate(sum("tx")));
    write(connected, t("ofAll", all.filter(({ client }) => client.up).length, all.length));
    const count = all.filter(needy).length;
    write(troubled, String(count));
    troubled.className = count > 0 ? "bad" : "good";
  }

  const frame = perFrame(draw);
  const leave = followAll((told, structural) => {
    told.forEach(update);
    if (structural) arrange(); else frame.plan();
  });
  search.addEventListener("input", arrange);
  scroll.addEventListener("scroll", frame.plan);
  const sorting = setInterval(arrange, RESORT);
  arrange();
  return () => { leave(); clearInterval(sorting); frame.stop(); };
}
