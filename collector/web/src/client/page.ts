// One client and NIC: the chart over a range, its figures, its mix and its events.

import { type ClientState, clientAddress, groupPath, type Look } from "../address";
import * as api from "../api";
import { mirrored } from "../chart/mirrored";
import { bend } from "../chart/scale";
import { type Shown, wholeUntil } from "../chart/shown";
import { compareWith } from "../compare/chosen";
import { button, element, keepAddress, onChange, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followOne } from "../live";
import { ledger } from "../losses";
import { end, type Points, percentile, rate } from "../points";
import { now } from "../presence";
import { TalkersPanel } from "../talkers/panel";
import { USUAL, type Who } from "../talkers/who";
import * as units from "../units";
import { csv, directions } from "../view/export";
import { LENGTHS } from "../view/range";
import { type Step, View, type Viewed } from "../view/view";
import { happenings } from "./events";
import { facts } from "./facts";
import { figures, readout } from "./figures";
import { mixture } from "./mix";
import { type Choice, describe, NicChooser } from "./nics";
import { LIVE_RANGE, POINTS, Stored } from "./stored";

/** How often the stored part of what is live is asked for again. */
const REFRESH = 10_000;
/** How long after the first time. What came shortly before it waited to be stored, and is by then. */
const FIRST_REFRESH = 3000;
/** Figures that change are read four times a second at most. */
const READABLE = 250;
const PERCENTILE_OF = 5 * 60_000;
/** Talkers are stored by the minute. */
const MINUTE = 60_000;

/** Where things are shown. */
class Places {
  readonly title = element("h2", { id: "title" });
  readonly facts = element("p", { class: "note", id: "facts" });
  readonly tags = element("p", { class: "note", id: "tags" });
  readonly note = element("p", { class: "bad", id: "note", role: "status" });
  readonly figures = element("div", { id: "figures" });
  readonly losses = element("div", { id: "ledger" });
  readonly mix = element("section", { id: "mix", class: "panels", "aria-label": t("mix") });
  readonly events = element("ul", { id: "events" });

  into(main: HTMLElement, nics: HTMLElement, view: HTMLElement, talkers: HTMLElement): void {
    const back = element("a", { href: "#/", id: "back" }, `← ${t("back")}`);
    const summary = element("section", { "aria-label": t("figures") }, this.figures, this.losses);
    const events = element("section", {}, element("h3", {}, t("events")), this.events);
    main.append(
      ...[element("p", {}, back), this.title, this.facts, this.tags],
      ...[this.note, nics, view, talkers],
      element("div", { class: "panels" }, summary, events),
      ...[element("h3", {}, t("mix")), this.mix],
    );
  }
}

class ClientPage implements Viewed {
  private client: api.Client | null = null;
  private choices: Choice[] = [];
  /** When the figures were written last. */
  private summed = 0;
  private readonly stored = new Stored();
  private readonly places = new Places();
  private readonly nics = new NicChooser((nic) => this.chooseNic(nic));
  private readonly view: View;
  private readonly showMix = onChange((mix: api.Mix) =>
    this.places.mix.replaceChildren(...mixture(mix)),
  );
  // What is pointed at says what it means: it has to stay.
  private readonly showLedger = onChange((known: api.Losses | undefined) =>
    this.places.losses.replaceChildren(...(known ? [ledger(known)] : [])),
  );
  private readonly showTags = onChange((tags: [key: string, value: string][]) => {
    const links = tags.flatMap((tag) => [
      element("a", { href: groupPath([tag]) }, tag.join("=")),
      " ",
    ]);
    this.places.tags.replaceChildren(...links);
  });
  private listed: api.Happenings | null = null;
  private readonly talkers = new TalkersPanel({
    choose: (how) => this.look(how),
    close: () => this.closeTalkers(),
  });
  private readonly opener = button(t("talkersOpen"), "talkers-open", () => this.look({ at: null }));
  private nic: string;
  private who: Who | null;
  private readonly unfollow: () => void;

  constructor(
    main: HTMLElement,
    private readonly id: string,
    { nic, who, ...look }: ClientState,
  ) {
    this.nic = nic;
    this.who = who;
    const choices = { lengths: LENGTHS, peaks: true, compare: true };
    this.view = new View(this, look, t("chart", id), choices);
    const hint = element("span", { class: "note" }, t("talkersHint"));
    const asking = element("p", { class: "tools" }, this.opener, hint);
    this.view.element.append(asking);
    this.places.into(main, this.nics.element, this.view.element, this.talkers.element);
    this.view.every(REFRESH, () => void this.load(false));
    this.unfollow = followOne(this.id, {
      client: (told, again) => this.onClient(told, again),
      samples: (samples) => this.onSamples(samples),
    });
    this.changed(nic !== "");
    this.view.plan();
  }

  leave(): void {
    this.unfollow();
    this.stored.stop();
    this.talkers.leave();
    this.view.leave();
  }

  address(look: Look): string {
    return clientAddress(this.id, { nic: this.nic, who: this.who, ...look });
  }

  file(): string {
    return `${this.id}-${this.nic}`;
  }

  title(): string {
    return `${this.client?.alias || this.id} · ${this.nic}`;
  }

  readonly entries = directions;

  csv(): void {
    csv(`${this.file()}-${this.stored.resolution}`, this.inSight());
  }

  compare(): void {
    compareWith({ kind: "nic", client: this.id, nic: this.nic }, this.view.look);
  }

  steps(): Step[] {
    const points = this.inSight();
    return points.all.map((point, index) => [
      points.starts[index] as number,
      point.interval_ns / 1e6,
    ]);
  }

  /** Shows who made a point: the sample itself if it broke a threshold, or its minutes. */
  pick(time: number): void {
    const points = this.inSight();
    const index = points.at(time);
    const point = index === null ? undefined : points.all[index];
    if (!point) return;
    const direction = rate(point, "tx") > rate(point, "rx") ? "tx" : "rx";
    const [from, length] = [Date.parse(point.time), point.interval_ns / 1e6];
    this.who ??= { ...USUAL, direction };
    // A sample among those that a longer point is of would be less than what was clicked at.
    if (length < MINUTE) this.look({ at: time });
    else this.look({ at: length === MINUTE ? [from, end(point)] : null });
    if (length > MINUTE) this.view.between(from, end(point));
    this.talkers.focus();
  }

  /** What was selected is looked into. */
  dragged(): void {
    this.look({ at: null });
  }

  /** Shows talkers, otherwise than before. */
  private look(how: Partial<Who>): void {
    this.who = { ...(this.who ?? USUAL), ...how };
    this.changed(false);
    this.showTalkers();
  }

  private closeTalkers(): void {
    this.who = null;
    this.changed(false);
    this.showTalkers();
    this.opener.focus();
  }

  private showTalkers(): void {
    const [from, to] = this.view.limits();
    this.opener.setAttribute("aria-expanded", String(this.who !== null));
    this.talkers.show({ client: this.id, nic: this.nic, from, to }, this.nic ? this.who : null);
  }

  note(text: string): void {
    write(this.places.note, text);
  }

  private inSight(): Points {
    return this.stored.points.within(...this.view.limits());
  }

  /** The NIC that is shown, if it is known live. */
  private known(): api.Nic | undefined {
    return this.client?.nics.find(({ nic }) => nic === this.nic);
  }

  private shown(): Shown {
    const [from, to] = this.view.limits();
    const { peaks, log, range } = this.view.look;
    const points = this.inSight();
    const p95 = this.stored.billed ?? {
      rx: percentile(points.all, "rx"),
      tx: percentile(points.all, "tx"),
    };
    return {
      ...{ points, from, to, gap: points.gap((to - from) / POINTS), peaks, p95, step: 0 },
      whole: wholeUntil(to, range.live),
      bend: log ? bend(p95, units.perByte()) : 0,
      events: this.stored.happened.events,
      speed: this.known()?.speed_bits_per_second ?? 0,
    };
  }

  private chooseNic(nic: string): void {
    this.stored.clear();
    this.nic = nic;
    this.changed(true);
    this.view.plan();
  }

  changed(reload: boolean): void {
    keepAddress(this.address(this.view.look));
    this.nics.show(this.choices, this.nic);
    if (reload) void this.load();
  }

  /** Asks for what is stored. `first`: of another range, NIC or connection. */
  private async load(first = true): Promise<void> {
    const { nic } = this;
    if (!nic) return;
    this.showTalkers();
    const [from, to] = this.view.limits();
    try {
      const { live } = this.view.look.range;
      const mix = await this.stored.load({ client: this.id, nic, from, to }, live);
      if (!mix) return;
      this.showMix(mix);
      this.note("");
      this.summed = 0;
      if (first) this.view.once(FIRST_REFRESH, () => void this.load(false));
    } catch (error) {
      // That the collector can't be reached is said above.
      if (error instanceof api.Unreachable) return;
      this.note(t("failed", api.reasonOf(error)));
    }
    this.view.plan();
  }

  draw(): void {
    const { title } = this.places;
    const shown = this.shown();
    const { points } = shown;
    const { dataset } = this.view.place;
    dataset.points = String(points.length);
    dataset.newest = points.last ? String(end(points.last)) : "";
    write(title, this.title());
    showTitle(this.title());
    this.view.show(mirrored(shown), (time) => readout(points, time));
    if (this.stored.happened !== this.listed) this.list(this.stored.happened);
    if (Date.now() - this.summed >= READABLE || !this.view.look.range.live) this.sumUp(shown);
    this.head();
  }

  private list(happened: api.Happenings): void {
    this.listed = happened;
    const go = (from: number, to: number) => this.view.between(from, to);
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
    write(this.view.legend, points.length === 0 ? t("noData") : measured);
  }

  /** What is known of the client and the NIC this moment. */
  private head(): void {
    if (!this.client) return;
    const known = this.known();
    this.showLedger(
      known && {
        drops_total: known.drops_total,
        late_total: known.late_total,
        inexact_total: known.inexact_total,
      },
    );
    const { text, wrong } = facts(this.client);
    write(this.places.facts, text);
    this.showTags(Object.entries(this.client.tags));
    this.places.facts.classList.toggle("warn", wrong);
  }

  private offerNics(choices: Choice[]): void {
    this.choices = choices;
    const first = choices[0];
    if (!this.nic && first) this.chooseNic(first.nic);
    this.nics.show(choices, this.nic);
  }

  private onClient(client: api.Client | null, again: boolean): void {
    this.client = client;
    if (client) {
      this.offerNics(client.nics.map((nic) => ({ nic: nic.nic, text: describe(nic) })));
    } else {
      write(this.places.facts, t("forgotten"));
    }
    if (!client || (again && client.nics.length === 0)) void this.recall();
    if (again && this.view.look.range.live) void this.load();
    else if (again) this.talkers.heardAgain();
    this.view.plan();
  }

  /** Offers the NICs that the store knows: of this moment none is known. */
  private async recall(): Promise<void> {
    try {
      const { clients } = await api.stored(this.id);
      const found = clients.find(({ client }) => client === this.id);
      if (found) this.offerNics(found.nics.map(({ nic }) => ({ nic, text: "" })));
      else this.note(t("unknown", this.id));
    } catch (error) {
      this.note(t("failed", api.reasonOf(error)));
    }
  }

  private onSamples(samples: api.NicPoint[]): void {
    const { nic } = this;
    const { range } = this.view.look;
    if (!range.live || range.length > LIVE_RANGE) return;
    if (this.stored.add(samples, nic, now() - 2 * range.length)) this.view.plan();
  }
}

/** Shows a client until the function that it gives is called. */
export function showClient(main: HTMLElement, id: string, state: ClientState): () => void {
  const page = new ClientPage(main, id, state);
  return () => page.leave();
}
