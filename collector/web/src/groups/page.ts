// A group of clients over a range: its sums, peaks and percentiles, and its members.

import "./groups.css";
import { compareAddress, groupPath, type Look, subjectAddress } from "../address";
import * as api from "../api";
import { mirrored } from "../chart/mirrored";
import { bend } from "../chart/scale";
import { type Shown, wholeUntil } from "../chart/shown";
import { figures, readout } from "../client/figures";
import { compareWith, MOST } from "../compare/chosen";
import { element, keepAddress, onChange, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followAll, summaries } from "../live";
import { end, Points } from "../points";
import { pathOf } from "../subject";
import { hasAll, listOf, type Tags, tagsOf, tagValue } from "../tags";
import * as units from "../units";
import { csv, directions } from "../view/export";
import { LENGTHS } from "../view/range";
import { type Step, View, type Viewed } from "../view/view";
import { asFineAsThereIs, askable, type Group, type Groups, group, members } from "./api";
import { lacking, largest, table } from "./members";
import { now as carried, nameOf } from "./now";

const HOUR = 3600_000;
/** How often what is live is asked for again: not before this, and not more than a part of the time. */
const REFRESH = 15_000;
const PART = 10;
/** A point that follows within its step has no gap before it. */
const TOUCHING = 0.999;

/** So many are offered. */
const SIBLINGS = 40;

/** A group has no rate of its own before anything is told. */
const NONE = { rx: 0, tx: 0 };

class GroupPage implements Viewed {
  private readonly heading = element("h2", { id: "title" });
  private readonly facts = element("p", { class: "note", id: "facts" });
  private readonly problem = element("p", { class: "bad", id: "note", role: "status" });
  private readonly missing = element("p", { class: "warn", id: "missing" });
  private readonly siblings = element("nav", { id: "nics", "aria-label": t("groups") });
  private readonly figures = element("div", { id: "figures" });
  private readonly members = element("div", { id: "members", class: "wide", tabindex: "0" });
  private readonly lack = element("p", { id: "lack", class: "warn" });
  private readonly view: View;
  private readonly unfollow: () => void;
  private request = new AbortController();
  private told: Groups | undefined;
  private group: Group | undefined;
  private points = new Points();
  private asked = 0;
  private took = 0;
  private readonly showSiblings = onChange((lists: string[]) => this.list(lists));

  constructor(
    main: HTMLElement,
    private readonly tags: Tags,
    look: Look,
  ) {
    const lengths = LENGTHS.filter((length) => length >= HOUR);
    const about = t("chart", this.title());
    this.view = new View(this, look, about, { lengths, peaks: true, compare: true });
    const back = element("a", { href: "#/", id: "back" }, `← ${t("back")}`);
    const peaks = element("p", { class: "note" }, t("groupMeans"));
    const sums = element("section", { "aria-label": t("figures") }, this.figures, peaks);
    this.members.setAttribute("role", "region");
    this.members.setAttribute("aria-label", t("membersOf", this.title()));
    const parts = element("section", { class: "members" }, this.members, this.lack);
    main.append(
      ...[element("p", {}, back), this.heading, this.facts, this.problem, this.missing],
      this.siblings,
      this.view.element,
      element("div", { class: "panels sums-and-members" }, sums, parts),
    );
    write(this.heading, this.title());
    showTitle(this.title());
    this.view.every(1000, () => this.refresh());
    this.unfollow = followAll(() => this.view.plan());
    this.changed(true);
    this.view.plan();
  }

  leave(): void {
    this.unfollow();
    this.request.abort();
    this.view.leave();
  }

  title(): string {
    return nameOf(this.tags);
  }

  file(): string {
    return listOf(this.tags).replace(/[^\w.=,-]/g, "_") || "all";
  }

  address(look: Look): string {
    return subjectAddress({ kind: "group", tags: this.tags }, look);
  }

  readonly entries = directions;

  csv(): void {
    csv(`${this.file()}-${units.span(this.step()).replace(" ", "")}`, this.points);
  }

  compare(): void {
    compareWith({ kind: "group", tags: this.tags }, this.view.look);
  }

  steps(): Step[] {
    return this.points.starts.map((start) => [start, this.step()]);
  }

  note(text: string): void {
    write(this.problem, text);
  }

  changed(reload: boolean): void {
    keepAddress(this.address(this.view.look));
    if (reload) void this.load();
  }

  private step(): number {
    return (this.told?.step_ns ?? 0) / 1e6;
  }

  private refresh(): void {
    const passed = Date.now() - this.asked;
    if (this.took > 0 && passed > Math.max(REFRESH, PART * this.took)) void this.load();
  }

  private async load(): Promise<void> {
    if (!askable(this.tags)) {
      this.note(t("twoMissing"));
      return;
    }
    this.request.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    const range = this.view.limits();
    this.asked = Date.now();
    this.took = 0;
    try {
      const { tags } = this;
      const found = await asFineAsThereIs(
        range[1] - range[0],
        (step) => group({ tags }, range, step, signal),
        (answer) => (answer.group?.points.length ?? 0) === 0,
      );
      this.told = found.told;
      this.group = found.group;
      this.points = new Points(found.group?.points ?? []);
      this.note("");
      this.sumUp();
      this.view.plan();
      this.took = Date.now() - this.asked;
      await this.loadMembers(found.told, signal);
      this.took = Date.now() - this.asked;
    } catch (error) {
      // That the collector can't be reached is said above.
      if (signal.aborted || error instanceof api.Unreachable) return;
      this.note(t("failed", api.reasonOf(error)));
    }
  }

  private async loadMembers(told: Groups, signal: AbortSignal): Promise<void> {
    const { group, tags } = this;
    // Who lacks a tag can't be asked for.
    if (!group || tags.some(([, value]) => value === "")) return;
    const { groups: found, other } = await members(tags, told, signal);
    this.members.replaceChildren(table(found, other, group, this.view.look));
    const few = lacking(found, group).length;
    // Of those that are not told one by one it is not known.
    const words = other ? "lackingLargest" : "lacking";
    write(this.lack, few > 0 ? t(words, few, found.length) : "");
    this.lack.hidden = few === 0;
    const paths = largest(found)
      .slice(0, MOST)
      .map(({ value }) => pathOf({ kind: "client", client: value ?? "" }));
    if (paths.length < 2) return;
    const href = compareAddress(paths, this.view.look);
    const link = element("a", { href, id: "compare-members" }, t("compareLargest", paths.length));
    this.members.append(element("p", {}, link));
  }

  private p95(): Record<api.Direction, number> {
    if (!this.group) return NONE;
    const { rx_p95_bits_per_second: rx, tx_p95_bits_per_second: tx } = this.group;
    return { rx: (rx ?? 0) / 8, tx: (tx ?? 0) / 8 };
  }

  private shown(): Shown {
    const [from, to] = this.view.limits();
    const { peaks, log, range } = this.view.look;
    const p95 = this.p95();
    const step = this.step();
    return {
      ...{ points: this.points, from, to, peaks, p95, step, gap: TOUCHING * step },
      whole: wholeUntil(to, range.live),
      bend: log ? bend(p95, units.perByte()) : 0,
      events: [],
      speed: 0,
    };
  }

  draw(): void {
    const { points } = this;
    const { dataset } = this.view.place;
    dataset.points = String(points.length);
    dataset.newest = points.last ? String(end(points.last)) : "";
    dataset.step = String(this.step());
    this.view.show(mirrored(this.shown()), (time) => readout(points, time, this.step()));
    const own = [...summaries.values()].filter(({ tags }) => hasAll(tags, this.tags));
    write(this.facts, carried(own));
    this.showSiblings(this.siblingLists());
  }

  /** What a range comes to. */
  private sumUp(): void {
    const { points, group } = this;
    const days = this.told?.missing_days ?? 0;
    const told = figures(points, days > 0 ? null : this.p95(), units.span(300_000), null);
    this.figures.replaceChildren(told);
    write(this.missing, days > 0 ? t("missingDays", days) : "");
    this.missing.hidden = days === 0;
    if (!group || points.length === 0) {
      write(this.view.legend, t("noData"));
      return;
    }
    const step = units.span(this.step());
    const covered = t("covered", group.measured_intervals, group.intervals);
    write(this.view.legend, `${t("groupPoints", points.length, step)} ${covered}`);
  }

  /** Groups with other values of the last key. */
  private siblingLists(): string[] {
    const last = this.tags.at(-1);
    if (!last) return [];
    const above = this.tags.slice(0, -1);
    const values = new Set([last[1]]);
    for (const { tags } of summaries.values()) {
      if (hasAll(tags, above)) values.add(tagValue(tags, last[0]));
    }
    const others = [...values].sort().slice(0, SIBLINGS);
    return others.map((value) => listOf([...above, [last[0], value]]));
  }

  private list(lists: string[]): void {
    const own = listOf(this.tags);
    const links = lists.map((list) => {
      const tags = tagsOf(list);
      const href = groupPath(tags) + location.hash.replace(/^[^?]*/, "");
      const link = element("a", { href, "data-group": list }, nameOf(tags));
      if (list === own) link.setAttribute("aria-current", "page");
      return link;
    });
    this.siblings.replaceChildren(...(links.length > 1 ? links : []));
  }
}

/** Shows a group until the function that it gives is called. */
export function showGroup(main: HTMLElement, tags: Tags, look: Look): () => void {
  const page = new GroupPage(main, tags, look);
  return () => page.leave();
}
