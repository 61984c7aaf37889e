// One client and NIC: the chart over a range, its figures and events.

import { clients as storedClients, series, type Client, type Point } from "./api";
import { makeChart, percentile } from "./chart";
import { button, color, element, save, write } from "./dom";
import { t, type Text } from "./i18n";
import { clients, listen, listeners, now } from "./live";
import * as units from "./units";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const RANGES = [1, 5, 15, 60, 360].map((n) => n * MINUTE).concat([1, 7, 30, 90, 400].map((n) => n * DAY));
const POINTS = 1000;
const REFRESH = 10_000;

export function showClient(main: HTMLElement, id: string, chosen: string | undefined, query: URLSearchParams): () => void {
  let nic = chosen ?? "";
  let range = RANGES.find((known) => String(known / 1000) === query.get("range")) ?? 5 * MINUTE;
  let window: [number, number] | null = null;
  const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
  if (from > 0 && to > from) window = [from, to];
  let peaks = query.get("peaks") !== "0";
  let points: Point[] = [];
  let resolution = "raw";
  let length = 0;
  let averages: Point[] = [];
  let request = new AbortController();
  let reloading = 0;

  const title = element("h2", { id: "title" });
  const note = element("p", { class: "note", id: "note" });
  const nics = element("nav", { id: "nics", "aria-label": t("nics") });
  const picker = element("select", { id: "range", "aria-label": t("range") },
    ...RANGES.map((known) => element("option", { value: String(known) }, units.span(known))));
  const pause = button("", "pause", () => { window = window ? null : [now() - range, now()]; changed(); });
  const band = button(t("peaks"), "peaks", () => { peaks = !peaks; changed(false); });
  const tools = element("p", { class: "tools" }, picker, pause, band, button(t("csv"), "csv", csv), button(t("png"), "png", png));
  const place = element("div", { id: "chart", tabindex: "0", role: "img", "aria-label": t("chart", id, nic) });
  const hovered = element("p", { id: "hover", role: "status" });
  const figures = element("dl", { id: "figures" });
  const events = element("ul", { id: "events" });
  main.append(element("p", {}, element("a", { href: "#/" }, `← ${t("back")}`)), title, note, nics, tools, place, hovered, figures, element("h3", {}, t("events")), events);
  const chart = makeChart(place, (a, b) => { window = [a, b]; changed(); }, (time) => hover(time));
  picker.addEventListener("change", () => { range = Number(picker.value); window = null; changed(); });

  const limits = (): [number, number] => window ?? [now() - range, now()];

  function changed(reload = true): void {
    const state = new URLSearchParams(window ? { from: window[0].toFixed(0), to: window[1].toFixed(0) } : { range: String(range / 1000) });
    if (!peaks) state.set("peaks", "0");
    history.replaceState(null, "", `#/client/${encodeURIComponent(id)}/${encodeURIComponent(nic)}?${state}`);
    picker.value = String(range);
    write(pause, window ? t("resume") : t("pause"));
    band.setAttribute("aria-pressed", String(peaks));
    if (reload) void load(); else plan();
  }

  async function load(): Promise<void> {
    if (!nic) return;
    request.abort();
    request = new AbortController();
    const { signal } = request;
    const [start, end] = limits();
    try {
      const long = end - start >= 60 * MINUTE;
      const [told, coarse] = await Promise.all([
        series(id, nic, start, end, POINTS, "auto", signal),
        long ? series(id, nic, start, end, 10_000, "5m", signal) : null,
      ]);
      const last = told.points.at(-1);
      const newer = last ? points.filter((point) => Date.parse(point.time) > Date.parse(last.time) && Date.parse(point.time) < end) : points;
      points = told.points.concat(window ? [] : newer);
      averages = coarse?.points ?? [];
      resolution = told.resolution;
      length = (end - start) / POINTS;
      write(note, clients.get(id) ? "" : t("gone"));
    } catch (error) {
      if (signal.aborted) return;
      write(note, t("failed", error instanceof Error ? error.message : String(error)));
    }
    plan();
  }

  let planned = 0;
  const plan = () => { planned ||= requestAnimationFrame(draw); };
  function draw(): void {
    planned = 0;
    const [start, end] = limits();
    const seen = points.filter((point) => Date.parse(point.time) + point.interval_ns / 1e6 > start && Date.parse(point.time) < end);
    const base = averages.length > 0 ? averages : seen;
    const p95 = { rx: percentile(base, "rx"), tx: percentile(base, "tx") };
    const typical = seen.map((point) => point.interval_ns / 1e6).sort((a, b) => a - b)[seen.length >> 1] ?? 500;
    // Merged points start up to a part of the range apart; what is further apart is a gap.
    const gap = Math.max(typical / 2, typical < length ? length : 0);
    chart.show({ points: seen, from: start, to: end, gap, peaks, p95 });
    write(title, `${clients.get(id)?.alias || id} · ${nic}`);
    place.dataset.points = String(seen.length);
    const totals = { rx: { bytes: 0, packets: 0 }, tx: { bytes: 0, packets: 0 } };
    let covered = 0;
    for (const point of seen) {
      covered += point.interval_ns / 1e9;
      for (const direction of ["rx", "tx"] as const) {
        totals[direction].bytes += point[direction].bytes;
        totals[direction].packets += point[direction].packets;
      }
    }
    const averaged = units.span((base[0]?.interval_ns ?? 0) / 1e6);
    const list: [string, string][] = seen.length === 0 ? [[t("noData"), "–"]] : [];
    for (const direction of seen.length > 0 ? (["rx", "tx"] as const) : []) {
      const { bytes, packets } = totals[direction];
      list.push([`${t(direction)}: ${t("mean")}`, units.rate(bytes / covered)],
        [`${t(direction)}: ${t("peak")}`, units.rate(1000 * Math.max(...seen.map((point) => point[direction].peak_1ms_bytes)))],
        [`${t(direction)}: ${t("percentile", averaged)}`, units.rate(p95[direction])],
        [`${t(direction)}: ${t("meanSize")}`, packets > 0 ? `${(bytes / packets).toFixed(0)} B` : "–"],
        [`${t(direction)}: ${t("total")}`, units.bytes(bytes)]);
    }
    figures.replaceChildren(...list.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    const marks: [string, Text, string][] = [];
    seen.forEach((point, index) => {
      if (point.drops > 0) marks.push([point.time, "event_loss", units.exact(point.drops)]);
      if (point.flags.includes("clock_step")) marks.push([point.time, "event_clock_step", ""]);
      if (point.flags.includes("partial")) marks.push([point.time, "event_partial", ""]);
      const before = seen[index - 1];
      const silent = before ? Date.parse(point.time) - Date.parse(before.time) - before.interval_ns / 1e6 : 0;
      if (silent > gap) marks.push([point.time, "event_gap", units.span(silent)]);
    });
    events.replaceChildren(...(marks.length === 0 ? [element("li", {}, t("noEvents"))]
      : marks.slice(-50).map(([time, kind, value]) => element("li", { "data-event": kind }, `${new Date(time).toLocaleString()} · ${t(kind, value)}`))));
  }

  function hover(time: number | null): void {
    const point = time === null ? undefined : points.find((known) => Date.parse(known.time) <= time && time < Date.parse(known.time) + known.interval_ns / 1e6);
    if (!point) { write(hovered, t("wire")); return; }
    const part = (direction: "rx" | "tx") => {
      const { bytes, packets, peak_1ms_bytes } = point[direction];
      return `${t(direction)} ${units.rate((bytes / point.interval_ns) * 1e9)} (${units.exact(bytes)} B, ${units.exact(packets)} ${t("packets")}), ${t("peak")} ${units.rate(peak_1ms_bytes * 1000)}`;
    };
    write(hovered, `${new Date(point.time).toLocaleString()} · ${part("rx")} · ${part("tx")} · ${t("lostPackets")} ${units.exact(point.drops)} · ${t("wire")}`);
  }

  function csv(): void {
    const cell = (point: Point, direction: "rx" | "tx") => [point[direction].bytes, point[direction].packets, point[direction].peak_1ms_bytes];
    const lines = points.map((point) => [point.time, point.interval_ns, ...cell(point, "rx"), ...cell(point, "tx"), point.drops, point.flags.join(" ")].join(","));
    const head = "time,interval_ns,rx_bytes,rx_packets,rx_peak_1ms_bytes,tx_bytes,tx_packets,tx_peak_1ms_bytes,drops,flags";
    save(`${id}-${nic}-${resolution}.csv`, new Blob([[head, ...lines].join("\n"), "\n"], { type: "text/csv" }));
  }

  function png(): void {
    const copy = element("canvas", { width: String(chart.canvas.width), height: String(chart.canvas.height) });
    const context = copy.getContext("2d");
    if (!context) return;
    context.fillStyle = color("surface");
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(chart.canvas, 0, 0);
    copy.toBlob((blob) => { if (blob) save(`${id}-${nic}.png`, blob); });
  }

  function chooseNic(names: string[]): void {
    if (!nic && names[0] !== undefined) { nic = names[0]; changed(); }
    if (nics.dataset.names === names.join(",") + nic) return;
    nics.dataset.names = names.join(",") + nic;
    nics.replaceChildren(...names.map((name) => {
      const choice = button(name, "", () => { nic = name; points = []; changed(); chooseNic(names); });
      choice.setAttribute("aria-pressed", String(name === nic));
      return choice;
    }));
  }

  const onUpdate = (told: Client[]) => {
    const client = told.find((known) => known.client === id);
    if (!client) return;
    chooseNic(client.nics.map((known) => known.nic));
    const sample = client.nics.find((known) => known.nic === nic)?.sample;
    if (!sample || window || range > 60 * MINUTE) return;
    const time = Date.parse(sample.time);
    const last = points.at(-1);
    if (last && time < Date.parse(last.time) + last.interval_ns / 1e6 - 1) return;
    const seconds = sample.interval_ns / 1e9;
    const counts = (direction: "rx" | "tx") => ({ bytes: Math.round(sample[direction].bytes_per_second * seconds), packets: Math.round(sample[direction].packets_per_second * seconds), captured: 0, peak_1ms_bytes: sample[direction].peak_1ms_bytes, peak_10ms_bytes: 0 });
    points.push({ time: sample.time, interval_ns: sample.interval_ns, rx: counts("rx"), tx: counts("tx"), drops: sample.drops, flags: sample.flags });
    plan();
  };
  listeners.add(onUpdate);
  place.addEventListener("keydown", (event) => {
    const [start, end] = limits();
    const quarter = (end - start) / 4;
    if (event.key === " ") pause.click();
    else if (event.key === "+") { window = [start + quarter, end - quarter]; changed(); }
    else if (event.key === "-") { window = [start - 2 * quarter, end + 2 * quarter]; changed(); }
    else if (event.key === "0") { window = null; changed(); }
    else return;
    event.preventDefault();
  });
  reloading = setInterval(() => { if (!window && !document.hidden) void load(); }, REFRESH);
  listen(id);
  onUpdate([...clients.values()]);
  storedClients().then((known) => {
    const found = known.clients.find((client) => client.client === id);
    if (found && !clients.has(id)) chooseNic(found.nics.map((known) => known.nic));
  }).catch((error: unknown) => write(note, t("failed", String(error))));
  if (nic) changed();
  return () => { listeners.delete(onUpdate); clearInterval(reloading); cancelAnimationFrame(planned); request.abort(); chart.destroy(); };
}
