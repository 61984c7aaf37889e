// Up to eight hosts, NICs or groups in one chart.

import "./compare.css";
import { compareAddress, type Look } from "../address";
import * as api from "../api";
import type { Drawing } from "../chart/drawing";
import { bend } from "../chart/scale";
import { POINTS } from "../client/stored";
import { element, keepAddress, showTitle, write } from "../dom";
import { nameOf } from "../groups/now";
import { t } from "../i18n";
import { followAll, summaries } from "../live";
import { end, Points } from "../points";
import { pathOf, type Subject } from "../subject";
import * as units from "../units";
import { csvOfAll, type Entry } from "../view/export";
import { LENGTHS } from "../view/range";
import { type Step, View, type Viewed } from "../view/view";
import { addForm } from "./add";
import { keepChosen, MOST } from "./chosen";
import { drawing } from "./drawing";
import { colorOf, highest, type Line } from "./lines";
import { type Loaded, load } from "./load";
import { readout, table } from "./table";

const REFRESH = 15_000;

function named(subject: Subject): string {
  if (subject.kind === "group") return nameOf(subject.tags);
  const alias = summaries.get(subject.client)?.alias;
  const client = alias || subject.client;
  return subject.kind === "nic" ? `${client} ${subject.nic}` : client;
}

class ComparePage implements Viewed {
  private readonly problem = element("p", { class: "bad", id: "note", role: "status" });
  private readonly missing = element("p", { class: "warn", id: "missing" });
  private readonly figures = element("div", { id: "compared", class: "wide", tabindex: "0" });
  private readonly view: View;
  private readonly unfollow: () => void;
  private request = new AbortController();
  private subjects: readonly Subject[];
  private lines: Line[] = [];
  private step = 0;
  /** What was asked for and is too much. */
  private refused = "";
  private drawn: { key: string; drawing: Drawing } | undefined;

  constructor(main: HTMLElement, asked: readonly Subject[], look: Look) {
    this.subjects = asked.slice(0, MOST);
    const choices = { lengths: LENGTHS, peaks: false, compare: false };
    this.view = new View(this, look, t("chart", t("comparison")), choices);
    const back = element("a", { href: "#/", id: "back" }, `← ${t("back")}`);
    const add = addForm(
      () => summaries.values(),
      (subject) => this.add(subject),
    );
    this.figures.setAttribute("role", "region");
    this.figures.setAttribute("aria-label", t("figures"));
    const title = element("h2", { id: "title" }, t("comparison"));
    const panel = element("section", { class: "compared" }, this.figures);
    main.append(
      ...[element("p", {}, back), title, add, this.problem, this.missing],
      this.view.element,
      element("div", { class: "panels" }, panel),
    );
    const left = asked.slice(MOST).map(named).join(", ");
    this.refused = left ? t("tooMany", MOST, left) : "";
    this.note(this.refused);
    this.view.every(REFRESH, () => void this.load());
    this.unfollow = followAll((_, structural) => {
      if (structural) this.rename();
    });
    this.changed(true);
    this.view.plan();
  }

  leave(): void {
    this.unfollow();
    this.request.abort();
    this.view.leave();
  }

  title(): string {
    return this.subjects.map(named).join(", ") || t("comparison");
  }

  file(): string {
    return "comparison";
  }

  address(look: Look): string {
    return compareAddress(this.subjects.map(pathOf), look);
  }

  entries(): Entry[] {
    return this.lines.map(({ name }, index) => [`${index + 1} ${name}`, colorOf(index)]);
  }

  csv(): void {
    const all = this.lines.map(({ subject, points }) => ({ path: pathOf(subject), points }));
    csvOfAll(this.file(), all);
  }

  compare(): void {}

  steps(): Step[] {
    const [from, to] = this.view.limits();
    const steps = new Map<number, number>();
    for (const { points } of this.lines) {
      const seen = points.within(from, to);
      seen.all.forEach((point, index) => {
        steps.set(seen.starts[index] as number, this.step || point.interval_ns / 1e6);
      });
    }
    return [...steps].sort(([a], [b]) => a - b);
  }

  note(text: string): void {
    write(this.problem, text);
  }

  changed(reload: boolean): void {
    const paths = this.subjects.map(pathOf);
    keepAddress(compareAddress(paths, this.view.look));
    keepChosen(paths);
    showTitle(`${t("comparison")}: ${this.title()}`);
    if (reload) void this.load();
  }

  /** Adds one, or says why not. */
  private add(subject: Subject): string {
    const paths = this.subjects.map(pathOf);
    if (paths.includes(pathOf(subject))) return t("addTwice");
    if (paths.length >= MOST) return t("tooMany", MOST, named(subject));
    this.subjects = [...this.subjects, subject];
    this.changed(true);
    return "";
  }

  private leaveOut(index: number): void {
    this.subjects = this.subjects.filter((_, place) => place !== index);
    this.lines = this.lines.filter((_, place) => place !== index);
    this.refused = "";
    this.changed(true);
    this.show();
  }

  private rename(): void {
    this.lines = this.lines.map((line) => ({ ...line, name: named(line.subject) }));
    this.changed(false);
    this.show();
  }

  private async load(): Promise<void> {
    this.request.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    const { subjects } = this;
    try {
      const loaded = await load(subjects, this.view.limits(), signal);
      if (signal.aborted) return;
      this.note(this.refused);
      this.take(subjects, loaded);
    } catch (error) {
      // That the collector can't be reached is said above.
      if (signal.aborted || error instanceof api.Unreachable) return;
      this.note(t("failed", api.reasonOf(error)));
    }
  }

  private take(subjects: readonly Subject[], { found, step }: Loaded): void {
    this.step = step;
    const days = Math.max(0, ...found.map((told) => ("points" in told ? told.missing : 0)));
    write(this.missing, days > 0 ? t("missingDays", days) : "");
    this.missing.hidden = days === 0;
    this.lines = found.map((told, index) => {
      const subject = subjects[index] as Subject;
      const name = named(subject);
      return "points" in told
        ? { subject, name, points: told.points, p95: told.p95, failed: "" }
        : { subject, name, points: new Points(), p95: null, failed: told.failed };
    });
    this.show();
  }

  private show(): void {
    this.drawn = undefined;
    const made = table(this.lines, this.view.look, (index) => this.leaveOut(index));
    this.figures.replaceChildren(...(this.lines.length > 0 ? [made] : []));
    const lengths = this.lines.map(({ points }) => points.typical / 1e6);
    const [least, most] = [Math.min(...lengths), Math.max(...lengths)].map(units.span);
    const own = least === most ? least : `${least} – ${most}`;
    const length = this.step > 0 ? units.span(this.step) : own;
    write(this.view.legend, this.lines.length > 0 ? t("compared", length ?? "") : t("nothingYet"));
    this.view.plan();
  }

  /** The same drawing while it is of the same. */
  private drawing(): Drawing {
    const [from, to] = this.view.limits();
    const { log } = this.view.look;
    const key = `${from} ${to} ${log}`;
    if (this.drawn?.key === key) return this.drawn.drawing;
    const most = { rx: highest(this.lines, "rx") / 10, tx: highest(this.lines, "tx") / 10 };
    const how = { step: this.step, part: (to - from) / POINTS };
    const made = drawing(this.lines, [from, to], {
      ...how,
      bend: log ? bend(most, units.perByte()) : 0,
    });
    this.drawn = { key, drawing: made };
    return made;
  }

  draw(): void {
    const { dataset } = this.view.place;
    dataset.points = String(Math.max(0, ...this.lines.map(({ points }) => points.length)));
    dataset.lines = String(this.lines.filter(({ points }) => points.length > 0).length);
    const last = this.lines.flatMap(({ points }) => (points.last ? [end(points.last)] : []));
    dataset.newest = last.length > 0 ? String(Math.max(...last)) : "";
    this.view.show(this.drawing(), (time) => readout(this.lines, time, this.step));
  }
}

/** Shows a comparison until the function that it gives is called. */
export function showCompare(
  main: HTMLElement,
  subjects: readonly Subject[],
  look: Look,
): () => void {
  const page = new ComparePage(main, subjects, look);
  return () => page.leave();
}
