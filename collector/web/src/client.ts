// One client and NIC: the chart over a range, its figures, its mix and its events.

import * as api from "./api";
import type { Client, Happenings, Losses, Mix, NicPoint, Percentile, Point } from "./api";
import { makeChart, type Shown } from "./chart";
import { button, element, keepAddress, onChange, perFrame, write } from "./dom";
import { csv, png } from "./export";
import { figures, happenings, ledger, mixture, readout } from "./figures";
import { t } from "./i18n";
import { clockOffset, followOne, gone, now, silence } from "./live";
import { end, percentile, Points, sums } from "./points";
import * as units from "./units";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const RANGES = [1, 5, 15, 60, 360].map((n) => n * MINUTE).concat([1, 7, 30, 90, 400].map((n) => n * DAY));
const POINTS = 1000;
/** Up to this range samples are added as they arrive; past it they would not be seen. */
const LIVE_RANGE = 60 * MINUTE;
const REFRESH = 10_000;
const NARROWEST = 100;

/** Where a bent scale bends, in the unit shown: at a round rate below what is usual. */
function bend(p95: { rx: number; tx: number }): number {
  return 10 ** Math.floor(Math.log10(Math.max(p95.rx, p95.tx, 1000) * units.perByte()));
}

const bytes = ({ rx_bits_per_second, tx_bits_per_second }: Percentile) => ({ rx: (rx_bits_per_second ?? 0) / 8, tx: (tx_bits_per_second ?? 0) / 8 });

export function showClient(main: HTMLElement, id: string, chosen: string, query: URLSearchParams): () => void {
  let nic = chosen;
  let client: Client | null = null;
  let range = RANGES.find((known) => String(known / 1000) === query.get("range")) ?? 5 * MINUTE;
  let window: [number, number] | null = null;
  const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
  if (from > 0 && to > from) window = [from, to];
  let peaks = query.get("peaks") !== "0";
  const scaled = query.get("scale");
  /** Whether the scale is bent; `null`: where the peaks would press the mean flat. */
  let log: boolean | null = scaled === "log" ? true : scaled === "linear" ? false : null;
  let pressed = false;
  let points = new Points();
  let resolution = "raw";
  /** Of 5-minute averages, where the range is long enough for them. */
  let billed: Percentile | null = null;
  let billedTogether: Percentile | null = null;
  let told: Happenings = { events: [], truncated: false };
  let hovered: number | null = null;
  let request = new AbortController();

  const limits = (): [number, number] => window ?? [now() - range, now()];
  const title = element("h2", { id: "title" });
  const facts = element("p", { class: "note", id: "facts" });
  const note = element("p", { class: "bad", id: "note", role: "status" });
  const nics = element("nav", { id: "nics", "aria-label": t("nics") });
  const picker = element("select", { id: "range", "aria-label": t("range") },
    ...RANGES.map((known) => element("option", { value: String(known) }, units.span(known))));
  const pause = button("", "pause", () => { window = window ? null : limits(); changed(); });
  const earlier = button("◀", "earlier", () => move(-1));
  const later = button("▶", "later", () => move(1));
  earlier.setAttribute("aria-label", t("earlier"));
  later.setAttribute("aria-label", t("later"));
  const wider = button(t("zoomOut"), "out", () => zoom(2));
  const band = button(t("peaks"), "peaks", () => { peaks = !peaks; changed(false); });
  const scale = button(t("log"), "log", () => { log = !(log ?? pressed); changed(false); });
  const name = () => `${client?.alias || id} · ${nic}`;
  const shown = () => points.within(...limits());
  const tools = element("div", { class: "tools" }, picker, earlier, later, wider, pause, element("span", { class: "grow" }), band, scale,
    button(t("csv"), "csv", () => csv(`${id}-${nic}-${resolution}`, shown())),
    button(t("png"), "png", () => png(`${id}-${nic}`, chart.canvas, name(), limits())));
  const place = element("div", { id: "chart", tabindex: "0", role: "application", "aria-label": t("chart", id) });
  const legend = element("p", { id: "legend", class: "note" });
  const values = element("div", { id: "hover", "aria-live": "off" });
  const summary = element("div", { id: "figures" });
  const losses = element("div", { id: "ledger" });
  const mixed = element("section", { id: "mix", class: "panels", "aria-label": t("mix") });
  const events = element("ul", { id: "events" });
  main.append(element("p", {}, element("a", { href: "#/", id: "back" }, `← ${t("back")}`)), title, facts, note, nics, tools, values, place, legend,
    element("div", { class: "panels" }, element("section", { "aria-label": t("figures") }, summary, losses),
      element("section", {}, element("h3", {}, t("events")), events)),
    element("h3", {}, t("mix")), mixed);

  const state = (): Shown => {
    const [from, to] = limits();
    const seen = shown();
    const p95 = billed ? bytes(billed)
      : { rx: percentile(seen.all, "rx"), tx: percentile(seen.all, "tx") };
    const speed = client?.nics.find((known) => known.nic === nic)?.speed_bits_per_second ?? 0;
    const bent = log ?? (peaks && pressed);
    scale.setAttribute("aria-pressed", String(bent));
    return { points: seen, from, to, gap: seen.gap((to - from) / POINTS), peaks, bend: bent ? bend(p95) : 0, p95, events: told.events, speed };
  };
  const chart = makeChart(place, state(), { zoom: (from, to) => go(from, to), hover: (time) => { hovered = time; frame.plan(); } });
  picker.addEventListener("change", () => { range = Number(picker.value); window = null; changed(); });

  /** Shows a range that stays. */
  function go(from: number, to: number): void {
    const least = Math.max(0, NARROWEST - (to - from)) / 2;
    window = [from - least, Math.min(to + least, Math.max(now(), from + NARROWEST))];
    changed();
  }
  function zoom(factor: number): void {
    const [from, to] = limits();
    const more = ((to - from) * (factor - 1)) / 2;
    if ((to - from) * factor <= 400 * DAY) go(from - more, to + more);
  }
  function move(direction: number): void {
    const [from, to] = limits();
    const step = (direction * (to - from)) / 2;
    if (to + step >= now()) { window = null; changed(); } else go(from + step, to + step);
  }

  function changed(reload = true): void {
    const kept = new URLSearchParams(window ? { from: window[0].toFixed(0), to: window[1].toFixed(0) } : { range: String(range / 1000) });
    if (!peaks) kept.set("peaks", "0");
    if (log !== null) kept.set("scale", log ? "log" : "linear");
    keepAddress(`/client/${encodeURIComponent(id)}/${encodeURIComponent(nic)}`, kept);
    picker.value = String(range);
    write(pause, window ? `▶ ${t("resume")}` : `❚❚ ${t("pause")}`);
    pause.setAttribute("aria-pressed", String(window !== null));
    band.setAttribute("aria-pressed", String(peaks));
    if (reload) void load();
    frame.plan();
  }

  async function load(): Promise<void> {
    if (!nic) return;
    request.abort();
    request = new AbortController();
    const { signal } = request;
    const [from, to] = limits();
    const asked = { client: id, nic, from, to };
    try {
      const long = to - from >= LIVE_RANGE;
      const [series, p95, together, happened, made] = await Promise.all([
        api.series(asked, POINTS, "auto", signal),
        long ? api.percentile(asked, signal) : null,
        long ? api.percentileOfAll(asked, signal) : null,
        api.events(asked, signal),
        api.mix(asked, signal),
      ]);
      const before = points;
      points = new Points(series.points);
      // What is not committed yet but was told live.
      if (!window) for (const point of before.within((points.last ? end(points.last) : from) - 1, Infinity).all) points.add({ ...point, nic });
      billed = p95 && p95.measured_intervals > 0 ? p95 : null;
      billedTogether = together && together.measured_intervals > 0 ? together : null;
      resolution = series.resolution;
      told = happened;
      const shape = api.DIRECTIONS.map((direction) => sums(points, direction)).map(({ peak, highest }) => (highest > 0 ? peak / highest : 0));
      // It does not go to and fro.
      pressed = Math.max(...shape) > (pressed ? 3 : 6);
      showMix(made);
      events.replaceChildren(...happenings(told, go));
      write(note, "");
      summed = 0;
    } catch (error) {
      if (signal.aborted) return;
      write(note, t("failed", error instanceof Error ? error.message : String(error)));
    }
    frame.plan();
  }

  /** When the figures were written last. */
  let summed = 0;
  const showMix = onChange((mix: Mix) => mixed.replaceChildren(...mixture(mix)));
  // What is pointed at says what it means: it has to stay.
  const showLedger = onChange((known: Losses | undefined) => losses.replaceChildren(...(known ? ledger(known) : [])));

  function draw(): void {
    const now = state();
    chart.show(now);
    const last = now.points.last;
    place.dataset.points = String(now.points.length);
    place.dataset.newest = last ? String(end(last)) : "";
    write(title, name());
    const under = hovered === null ? null : now.points.at(hovered);
    values.replaceChildren(readout(under === null ? undefined : now.points.all[under]));
    values.dataset.time = under === null ? "" : String(now.points.starts[under]);
    // Figures that change are read four times a second at most.
    if (Date.now() - summed >= 250 || window) {
      summed = Date.now();
      const typical = units.span((now.points.all[now.points.length >> 1]?.interval_ns ?? 0) / 1e6);
      const several = (client?.nics.filter(({ stacked }) => !stacked).length ?? 0) > 1;
      const together = several && billedTogether ? bytes(billedTogether) : null;
      summary.replaceChildren(figures(now.points, now.p95, billed ? units.span(5 * MINUTE) : typical, together));
      write(legend, now.points.length === 0 ? t("noData") : t("resolution", now.points.length, typical, resolution));
    }
    head();
  }

  /** What is known of the client and its NICs this moment. */
  function head(): void {
    if (!client) return;
    const { host, clock_offset_ns, up, elsewhere, last_seen } = client;
    const known = client.nics.find((it) => it.nic === nic);
    showLedger(known && { drops_total: known.drops_total, late_total: known.late_total, inexact_total: known.inexact_total });
    const observed = client.nics.map(({ sample }) => sample?.observed ?? "").sort().at(-1) || null;
    const silent = silence(observed, host.sample_interval_ns);
    const offset = clockOffset(clock_offset_ns, host.sample_interval_ns);
    const there = elsewhere ? t("elsewhere") : silent > 0 ? t("stale", units.span(silent)) : t("connected");
    const said = [up ? there : t("gone", units.moment(Date.parse(last_seen)), gone(client)),
      `${host.os} ${host.kernel}`.trim(), host.cpus ? t("cpus", host.cpus) : "", host.agent_version ? t("agent", host.agent_version) : "",
      host.sample_interval_ns ? t("every", units.span(host.sample_interval_ns / 1e6)) : "", offset !== 0 ? t("clock", units.offset(offset)) : ""];
    write(facts, said.filter(Boolean).join(" · "));
    facts.classList.toggle("warn", !up || (silent > 0 && !elsewhere));
  }

  function chooseNic(known: { nic: string; text: string }[]): void {
    const first = known[0];
    if (!nic && first) { nic = first.nic; changed(); }
    const key = JSON.stringify([known.map((it) => it.nic), nic]);
    if (nics.dataset.key !== key) {
      nics.dataset.key = key;
      nics.replaceChildren(...known.map((it) => {
        const choice = button("", "", () => { nic = it.nic; points = new Points(); billed = billedTogether = null; changed(); chooseNic(known); });
        choice.dataset.nic = it.nic;
        choice.setAttribute("aria-pressed", String(it.nic === nic));
        choice.append(element("b", {}, it.nic), element("span", { class: "note" }));
        return choice;
      }));
    }
    known.forEach(({ text }, index) => { const place = nics.children[index]?.lastElementChild; if (place) write(place as HTMLElement, text); });
  }

  function onClient(now: Client | null, again: boolean): void {
    if (now) {
      client = now;
      chooseNic(client.nics.map((it) => {
        const rates = it.sample ? `↓ ${units.rate(it.sample.rx.bytes_per_second)} ↑ ${units.rate(it.sample.tx.bytes_per_second)}` : "";
        const kind = [it.kind, it.speed_bits_per_second > 0 ? units.speed(it.speed_bits_per_second) : "", it.stacked ? t("stacked") : "", it.up ? "" : t("linkDown")];
        return { nic: it.nic, text: [rates, ...kind].filter(Boolean).join(" · ") };
      }));
    } else {
      client = null;
      write(facts, t("forgotten"));
    }
    // What is not known of this moment is stored.
    if (!now || (again && now.nics.length === 0)) {
      api.stored(id).then(({ clients }) => {
        const found = clients.find((known) => known.client === id);
        if (!found) { write(note, t("unknown", id)); return; }
        chooseNic(found.nics.map((known) => ({ nic: known.nic, text: "" })));
      }).catch((error: unknown) => write(note, t("failed", String(error))));
    }
    if (again && !window) void load();
    frame.plan();
  }

  function onSamples(samples: NicPoint[]): void {
    if (window || range > LIVE_RANGE) return;
    let added = false;
    for (const sample of samples) if (sample.nic === nic) added = points.add(sample) || added;
    const spare = points.before(now() - 2 * range);
    if (spare > 0) points = points.within(now() - 2 * range, Infinity);
    if (added) frame.plan();
  }

  /** Puts the cursor to another point. */
  function step(direction: number): void {
    const { all, starts } = shown();
    if (all.length === 0) return;
    if (!window) { window = limits(); changed(false); }
    const at = hovered === null ? all.length : points.within(...limits()).before(hovered + 0.001) - 1;
    const next = Math.min(all.length - 1, Math.max(0, at + direction));
    const point = all[next] as Point;
    hovered = (starts[next] as number) + point.interval_ns / 2e6;
    values.setAttribute("aria-live", "polite");
    chart.point(hovered);
    frame.plan();
  }

  const keys: Record<string, () => void> = {
    " ": () => pause.click(), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => { window = null; changed(); },
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), PageUp: () => move(-1), PageDown: () => move(1),
  };
  place.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  });
  place.addEventListener("pointermove", () => values.setAttribute("aria-live", "off"));

  const frame = perFrame(draw);
  const leave = followOne(id, { client: onClient, samples: onSamples });
  const reloading = setInterval(() => { if (!window && !document.hidden) void load(); }, REFRESH);
  // A gap at the right edge has to grow though nothing arrives.
  const ticking = setInterval(() => { if (!window && !document.hidden) frame.plan(); }, 1000);
  changed(nic !== "");
  return () => { leave(); clearInterval(reloading); clearInterval(ticking); frame.stop(); request.abort(); chart.destroy(); };
}
