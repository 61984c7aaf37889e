// One client and NIC: the chart over a range, its figures, its mix and its events.

import { type ClientState, clientAddress } from "../address";
import * as api from "../api";
import { Chart } from "../chart/chart";
import { bend } from "../chart/scale";
import type { Shown } from "../chart/shown";
import { copy, element, keepAddress, onChange, perFrame, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followOne } from "../live";
import { ledger } from "../losses";
import { end, type Points, percentile } from "../points";
import { health, now } from "../presence";
import * as units from "../units";
import { happenings } from "./events";
import { csv, png } from "./export";
import { facts } from "./facts";
import { figures, readout } from "./figures";
import { mixture } from "./mix";
import { type Choice, describe, NicChooser } from "./nics";
import { TimeRange } from "./range";
import { LIVE_RANGE, POINTS, Stored } from "./stored";
import { Tools } from "./tools";
import { When } from "./when";

/** How often the stored part of what is live is asked for again. */
const REFRESH = 10_000;
/** Figures that change are read four times a second at most. */
const READABLE = 250;
const PERCENTILE_OF = 5 * 60_000;

/** Where things are shown. */
class Places {
  readonly title = element("h2", { id: "title" });
  readonly facts = element("p", { class: "note", id: "facts" });
  readonly note = element("p", { class: "bad", id: "note", role: "status" });
  /** The chart and what belongs to it, also in full screen. */
  readonly view = element("section", { id: "view", "aria-label": t("view") });
  readonly chart: HTMLElement;
  readonly legend = element("p", { id: "legend", class: "note" });
  readonly values = element("div", { id: "hover", "aria-live": "off" });
  readonly figures = element("div", { id: "figures" });
  readonly losses = element("div", { id: "ledger" });
  readonly mix = element("section", { id: "mix", class: "panels", "aria-label": t("mix") });
  readonly events = element("ul", { id: "events" });

  constructor(id: string) {
    const label = t("chart", id);
    const about = { id: "chart", tabindex: "0", role: "application", "aria-label": label };
    this.chart = element("div", about);
  }

  into(main: HTMLElement, nics: HTMLElement, when: HTMLElement, tools: HTMLElement): void {
    const back = element("a", { href: "#/", id: "back" }, `← ${t("back")}`);
    const summary = element("section", { "aria-label": t("figures") }, this.figures, this.losses);
    const events = element("section", {}, element("h3", {}, t("events")), this.events);
    this.view.append(when, tools, this.values, this.chart, this.legend);
    main.append(
      ...[element("p", {}, back), this.title, this.facts, this.note, nics, this.view],
      element("div", { class: "panels" }, summary, events),
      ...[element("h3", {}, t("mix")), this.mix],
    );
  }
}

class ClientPage {
  private client: api.Client | null = null;
  private choices: Choice[] = [];
  private hovered: number | null = null;
  /** When the figures were written last. */
  private summed = 0;
  private readonly stored = new Stored();
  private readonly places: Places;
  private readonly nics = new NicChooser((nic) => this.chooseNic(nic));
  private readonly tools: Tools;
  private readonly when = new When((from, to) => this.between(from, to));
  private readonly chart: Chart;
  private readonly frame = perFrame(() => this.draw());
  private readonly showMix = onChange((mix: api.Mix) =>
    this.places.mix.replaceChildren(...mixture(mix)),
  );
  // What is pointed at says what it means: it has to stay.
  private readonly showLedger = onChange((known: api.Losses | undefined) =>
    this.places.losses.replaceChildren(...(known ? [ledger(known)] : [])),
  );
  private listed: api.Happenings | null = null;
  private readonly ending: (() => void)[] = [];

  constructor(
    main: HTMLElement,
    private readonly id: string,
    private state: ClientState,
  ) {
    this.places = new Places(id);
    this.tools = this.makeTools();
    this.places.into(main, this.nics.element, this.when.element, this.tools.element);
    this.chart = new Chart(this.places.chart, this.shown(), {
      zoom: (from, to) => this.between(from, to),
      hover: (time) => {
        this.hovered = time;
        this.frame.plan();
      },
    });
    this.listen();
    this.changed(state.nic !== "");
  }

  leave(): void {
    for (const end of this.ending) end();
    this.frame.stop();
    this.stored.stop();
    this.chart.destroy();
  }

  private makeTools(): Tools {
    const { id } = this;
    return new Tools({
      length: (length) => this.goTo(TimeRange.last(length)),
      move: (direction) => this.goTo(this.state.range.moved(direction, now())),
      widen: () => this.goTo(this.state.range.zoomed(2, now())),
      pause: () => this.pause(),
      peaks: () => this.change({ peaks: !this.state.peaks }),
      log: () => this.change({ log: !this.state.log }),
      link: () => copy(this.link()),
      full: () => this.fullScreen(),
      csv: () => csv(`${id}-${this.state.nic}-${this.stored.resolution}`, this.inSight()),
      png: () => png(`${id}-${this.state.nic}`, this.chart.canvas, this.name(), this.limits()),
    });
  }

  /** The address of what is in sight now, for good. */
  private link(): string {
    const range = this.state.range.paused(now());
    return new URL(clientAddress(this.id, { ...this.state, range }), location.href).href;
  }

  private fullScreen(): void {
    const { view } = this.places;
    const change = document.fullscreenElement
      ? document.exitFullscreen()
      : view.requestFullscreen();
    change.catch((error: unknown) => write(this.places.note, String(error)));
  }

  private listen(): void {
    const { chart: place, values } = this.places;
    place.addEventListener("keydown", (event) => this.pressedKey(event));
    place.addEventListener("pointermove", () => values.setAttribute("aria-live", "off"));
    const every = (milliseconds: number, action: () => void) => {
      const timer = setInterval(() => {
        if (this.state.range.live && health.connection === "live") action();
      }, milliseconds);
      this.ending.push(() => clearInterval(timer));
    };
    every(REFRESH, () => void this.load());
    // A gap at the right edge has to grow though nothing arrives.
    every(1000, () => this.frame.plan());
    const leave = followOne(this.id, {
      client: (told, again) => this.onClient(told, again),
      samples: (samples) => this.onSamples(samples),
    });
    this.ending.push(leave);
  }

  private limits(): readonly [number, number] {
    return this.state.range.limits(now());
  }

  private inSight(): Points {
    return this.stored.points.within(...this.limits());
  }

  private name(): string {
    return `${this.client?.alias || this.id} · ${this.state.nic}`;
  }

  /** The NIC that is shown, if it is known live. */
  private nic(): api.Nic | undefined {
    return this.client?.nics.find(({ nic }) => nic === this.state.nic);
  }

  private shown(): Shown {
    const [from, to] = this.limits();
    const { peaks, log } = this.state;
    const points = this.inSight();
    const p95 = this.stored.billed ?? {
      rx: percentile(points.all, "rx"),
      tx: percentile(points.all, "tx"),
    };
    return {
      ...{ points, from, to, gap: points.gap((to - from) / POINTS), peaks, p95 },
      bend: log ? bend(p95, units.perByte()) : 0,
      events: this.stored.happened.events,
      speed: this.nic()?.speed_bits_per_second ?? 0,
    };
  }

  /** Shows another range. */
  private goTo(range: TimeRange): void {
    this.state = { ...this.state, range };
    this.changed(true);
  }

  private between(from: number, to: number): void {
    this.goTo(this.state.range.between(from, to, now()));
  }

  private pause(): void {
    const { range } = this.state;
    this.goTo(range.live ? range.paused(now()) : range.resumed());
  }

  /** Shows the same range otherwise. */
  private change(how: Partial<ClientState>): void {
    this.state = { ...this.state, ...how };
    this.changed(false);
  }

  private chooseNic(nic: string): void {
    this.stored.clear();
    this.state = { ...this.state, nic };
    this.changed(true);
  }

  private changed(reload: boolean): void {
    keepAddress(clientAddress(this.id, this.state));
    this.tools.show(this.state);
    this.nics.show(this.choices, this.state.nic);
    if (reload) void this.load();
    this.frame.plan();
  }

  private async load(): Promise<void> {
    const { nic, range } = this.state;
    if (!nic) return;
    const [from, to] = this.limits();
    try {
      const mix = await this.stored.load({ client: this.id, nic, from, to }, range.live);
      if (!mix) return;
      this.showMix(mix);
      write(this.places.note, "");
      this.summed = 0;
    } catch (error) {
      // That the collector can't be reached is said above.
      if (error instanceof api.Unreachable) return;
      const reason = error instanceof Error ? error.message : String(error);
      write(this.places.note, t("failed", reason));
    }
    this.frame.plan();
  }

  private draw(): void {
    const { chart, title, values } = this.places;
    const shown = this.shown();
    const { points } = shown;
    this.chart.show(shown);
    this.when.show(this.state.range, now());
    if (this.stored.happened !== this.listed) this.list(this.stored.happened);
    chart.dataset.points = String(points.length);
    chart.dataset.newest = points.last ? String(end(points.last)) : "";
    write(title, this.name());
    showTitle(this.name());
    const under = this.hovered === null ? null : points.at(this.hovered);
    values.replaceChildren(readout(under === null ? undefined : points.all[under]));
    values.dataset.time = under === null ? "" : String(points.starts[under]);
    if (Date.now() - this.summed >= READABLE || !this.state.range.live) this.sumUp(shown);
    this.head();
  }

  private list(happened: api.Happenings): void {
    this.listed = happened;
    const go = (from: number, to: number) => this.between(from, to);
    this.places.events.replaceChildren(...happenings(happened, go));
  }

  private sumUp({ points, p95 }: Shown): void {
    this.summed = Date.now();
    const { billed, billedTogether, resolution } = this.stored;
    const typical = units.span(points.typical / 1e6);
    const several = (this.client?.nics.filter(({ stacked }) => !stacked).length ?? 0) > 1;
    const together = several ? billedTogether : null;
    const averaged = billed ? units.span(PERCENTILE_OF) : typical;
    this.places.figures.replaceChildren(figures(points, p95, averaged, together));
    const measured = t("resolution", points.length, typical, resolution);
    write(this.places.legend, points.length === 0 ? t("noData") : measured);
  }

  /** What is known of the client and the NIC this moment. */
  private head(): void {
    if (!this.client) return;
    const known = this.nic();
    this.showLedger(
      known && {
        drops_total: known.drops_total,
        late_total: known.late_total,
        inexact_total: known.inexact_total,
      },
    );
    const { text, wrong } = facts(this.client);
    write(this.places.facts, text);
    this.places.facts.classList.toggle("warn", wrong);
  }

  private offerNics(choices: Choice[]): void {
    this.choices = choices;
    const first = choices[0];
    if (!this.state.nic && first) this.chooseNic(first.nic);
    this.nics.show(choices, this.state.nic);
  }

  private onClient(client: api.Client | null, again: boolean): void {
    this.client = client;
    if (client) {
      this.offerNics(client.nics.map((nic) => ({ nic: nic.nic, text: describe(nic) })));
    } else {
      write(this.places.facts, t("forgotten"));
    }
    if (!client || (again && client.nics.length === 0)) void this.recall();
    if (again && this.state.range.live) void this.load();
    this.frame.plan();
  }

  /** Offers the NICs that the store knows: of this moment none is known. */
  private async recall(): Promise<void> {
    try {
      const { clients } = await api.stored(this.id);
      const found = clients.find(({ client }) => client === this.id);
      if (found) this.offerNics(found.nics.map(({ nic }) => ({ nic, text: "" })));
      else write(this.places.note, t("unknown", this.id));
    } catch (error) {
      write(this.places.note, t("failed", String(error)));
    }
  }

  private onSamples(samples: api.NicPoint[]): void {
    const { range, nic } = this.state;
    if (!range.live || range.length > LIVE_RANGE) return;
    if (this.stored.add(samples, nic, now() - 2 * range.length)) this.frame.plan();
  }

  private readonly keys: Record<string, () => void> = {
    " ": () => this.pause(),
    "+": () => this.goTo(this.state.range.zoomed(0.5, now())),
    "=": () => this.goTo(this.state.range.zoomed(0.5, now())),
    "-": () => this.goTo(this.state.range.zoomed(2, now())),
    "0": () => this.goTo(this.state.range.resumed()),
    ArrowLeft: () => this.step(-1),
    ArrowRight: () => this.step(1),
    PageUp: () => this.goTo(this.state.range.moved(-1, now())),
    PageDown: () => this.goTo(this.state.range.moved(1, now())),
  };

  private pressedKey(event: KeyboardEvent): void {
    const { ctrlKey, metaKey, altKey } = event;
    const action = ctrlKey || metaKey || altKey ? undefined : this.keys[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  /** Puts the cursor to the point before, -1, or after, 1. What moves on is paused. */
  private step(direction: -1 | 1): void {
    if (this.inSight().length === 0) return;
    if (this.state.range.live) this.change({ range: this.state.range.paused(now()) });
    const points = this.inSight();
    const at = this.hovered === null ? points.length : points.before(this.hovered + 0.001) - 1;
    const next = Math.min(points.length - 1, Math.max(0, at + direction));
    const point = points.all[next];
    if (!point) return;
    this.hovered = (points.starts[next] as number) + point.interval_ns / 2e6;
    this.places.values.setAttribute("aria-live", "polite");
    this.chart.point(this.hovered);
    this.frame.plan();
  }
}

/** Shows a client until the function that it gives is called. */
export function showClient(main: HTMLElement, id: string, state: ClientState): () => void {
  const page = new ClientPage(main, id, state);
  return () => page.leave();
}
