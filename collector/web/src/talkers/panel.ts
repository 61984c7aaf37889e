// The panel of a NIC's page: who made the traffic of a range, or of one moment.

import "./talkers.css";
import * as api from "../api";
import { button, element, write } from "../dom";
import { type Text, t } from "../i18n";
import { fromTo } from "../time";
import * as units from "../units";
import { type Asked, GROUPINGS, type Talkers, talkers, talkersCsv } from "./api";
import { stack } from "./stack";
import { table } from "./table";
import { type At, SCALES, type Who } from "./who";

/** When names that were asked for may be known, milliseconds. */
const NAMES_COME = 1500;

/** Talkers are stored by the minute, milliseconds. */
const MINUTE = 60_000;

/** What the panel does to its page. */
interface Actions {
  choose: (how: Partial<Who>) => void;
  close: () => void;
}

function picker<T extends string>(
  id: string,
  label: Text,
  options: readonly (readonly [T, string])[],
  choose: (value: T) => void,
): [HTMLElement, HTMLSelectElement] {
  const items = options.map(([value, text]) => element("option", { value }, text));
  const select = element("select", { id }, ...items);
  select.addEventListener("change", () => choose(select.value as T));
  return [element("label", {}, t(label), " ", select), select];
}

export class TalkersPanel {
  readonly element: HTMLElement;
  private readonly title = element("h3", { id: "talkers-title", tabindex: "-1" });
  private readonly note = element("p", { class: "note", role: "status" });
  private readonly chart = element("div", { id: "talkers-chart" });
  private readonly damaged = element("p", { class: "bad", id: "talkers-damaged" });
  /** Wider than a phone, so it scrolls, also by keyboard. */
  private readonly figures = element("div", {
    ...{ class: "wide", id: "talkers-table" },
    ...{ tabindex: "0", role: "group", "aria-labelledby": "talkers-title" },
  });
  private readonly csv = element("a", { id: "talkers-csv" }, t("csv"));
  private readonly all = button(t("talkersAll"), "talkers-all", () => this.on.choose({ at: null }));
  private readonly names = element("input", { type: "checkbox", id: "talkers-names" });
  private readonly namesLabel: HTMLElement;
  private readonly selects: HTMLSelectElement[];
  private request = new AbortController();
  private again: ReturnType<typeof setTimeout> | undefined;
  private asked: { range: api.Range; who: Who } | null = null;
  /** The figures that are shown, and what they are of. */
  private drawn: { of: string; whole: Talkers; shown: Talkers } | null = null;

  constructor(private readonly on: Actions) {
    const ways = api.DIRECTIONS.map((it) => [it, t(it)] as const);
    const [way, direction] = picker("talkers-direction", "talkersWay", ways, (it) =>
      on.choose({ direction: it }),
    );
    const groups = GROUPINGS.map((it) => [it, t(`by_${it}`)] as const);
    const [grouping, by] = picker("talkers-by", "talkersBy", groups, (it) => on.choose({ by: it }));
    const scales = SCALES.map((it) => [it, t(`scale_${it}`)] as const);
    const [measure, scale] = picker("talkers-scale", "talkersScale", scales, (it) =>
      on.choose({ scale: it }),
    );
    this.selects = [direction, by, scale];
    this.namesLabel = element("label", {}, this.names, " ", t("talkersNames"));
    this.namesLabel.hidden = true;
    this.names.addEventListener("change", () => void this.load());
    const close = button("✕", "talkers-close", on.close);
    close.setAttribute("aria-label", t("talkersClose"));
    const grow = element("span", { class: "grow" });
    const tools = [way, grouping, measure, this.all, this.namesLabel, grow, this.csv, close];
    this.element = element(
      "section",
      { id: "talkers", "aria-labelledby": "talkers-title" },
      ...[this.title, element("div", { class: "tools" }, ...tools), this.note],
      ...[this.damaged, this.chart, this.figures],
      element("p", { class: "note" }, t("talkersCut")),
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") on.close();
    });
    this.element.hidden = true;
  }

  leave(): void {
    this.request.abort();
    clearTimeout(this.again);
  }

  /** The collector is heard again: asks once more for what could not be had. */
  heardAgain(): void {
    if (this.element.dataset.failed) void this.load();
  }

  /** The title gets the keyboard's focus: it says what was opened. */
  focus(): void {
    this.title.focus({ preventScroll: true });
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Shows who made the traffic of a NIC's range; `null`: nothing. */
  show(range: api.Range, who: Who | null): void {
    this.element.hidden = who === null;
    if (!who) {
      this.leave();
      this.asked = null;
      return;
    }
    const values = [who.direction, who.by, who.scale];
    this.selects.forEach((select, index) => {
      select.value = values[index] ?? "";
    });
    this.all.hidden = who.at === null;
    this.asked = { range, who };
    void this.load();
  }

  /** The range, and beside it the part that is looked at. */
  private async load(): Promise<void> {
    if (!this.asked) return;
    this.leave();
    this.request = new AbortController();
    const { signal } = this.request;
    const { range, who } = this.asked;
    const { direction, by, at } = who;
    const asked = { ...range, direction, by, at: null, names: this.names.checked };
    const part = partOf(asked, at);
    this.csv.href = talkersCsv(part ?? asked);
    try {
      const [whole, one] = await Promise.all([
        talkers(asked, signal),
        part && talkers(part, signal),
      ]);
      const shown = one ?? whole;
      this.drawn = { of: questionOf(range, who), whole, shown };
      this.draw(whole, shown, who);
      delete this.element.dataset.failed;
    } catch (error) {
      if (!signal.aborted) this.fail(error, range, who);
    }
  }

  /** Figures of the same question stay, greyed, and say their time. Those of another one go. */
  private fail(error: unknown, range: api.Range, who: Who): void {
    this.element.dataset.failed = "true";
    const gone = error instanceof api.Unreachable;
    const why = gone ? t("talkersUnreachable") : t("failed", api.reasonOf(error));
    if (this.drawn?.of === questionOf(range, who) && this.drawn.shown.intervals.length > 0) {
      const { whole, shown } = this.drawn;
      this.draw(whole, shown, who);
      write(this.note, `${why} ${t("talkersOld", noteOf(shown, who))}`);
      return;
    }
    this.drawn = null;
    delete this.element.dataset.kind;
    write(this.title, t("talkers"));
    write(this.note, why);
    this.damaged.hidden = true;
    this.chart.replaceChildren();
    this.figures.replaceChildren();
  }

  private draw(whole: Talkers, shown: Talkers, who: Who): void {
    const { choose } = this.on;
    write(this.title, titleOf(shown, who));
    this.namesLabel.hidden = shown.names === "off";
    const empty = shown.intervals.length === 0;
    // What is damaged was stored.
    const none = shown.unreadable > 0 ? "" : t("talkersNone");
    write(this.note, empty ? none : noteOf(shown, who));
    write(this.damaged, t("foundUnreadable", units.exact(shown.unreadable)));
    this.damaged.hidden = shown.unreadable === 0;
    const bars = whole.intervals.length > 0;
    const focused = this.chart.contains(document.activeElement);
    this.chart.replaceChildren(
      ...(bars ? [stack(whole, who.scale, who.at, (at) => choose({ at }))] : []),
    );
    // The bar that was chosen by the keyboard is another element now.
    if (focused) this.chart.querySelector<HTMLElement>("[tabindex='0']")?.focus();
    this.figures.replaceChildren(...(empty ? [] : [table(shown)]));
    this.element.dataset.kind = shown.kind;
    if (this.names.checked && shown.names === "pending") {
      this.again = setTimeout(() => void this.load(), NAMES_COME);
    }
  }
}

/** What is asked for of a part of the range; `null`: no part is looked at. */
function partOf(asked: Asked, at: At | null): Asked | null {
  if (at === null) return null;
  if (typeof at === "number") return { ...asked, at };
  return { ...asked, from: at[0], to: at[1] };
}

/** What tells figures apart, beside the time that moves on while it is live. */
const questionOf = ({ client, nic }: api.Range, { direction, by, at }: Who): string =>
  JSON.stringify([client, nic, direction, by, at]);

function titleOf(shown: Talkers, { direction }: Who): string {
  const way = t(direction === "rx" ? "received" : "transmitted");
  return t(shown.kind === "moment" ? "talkersMomentTitle" : "talkersTitle", way);
}

/** What is shown: a moment, or minutes. */
function noteOf({ kind, from, to }: Talkers, { by }: Who): string {
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const range = fromTo(begin, end);
  const owner = by === "owner" ? ` ${t("talkersOwners")}` : "";
  if (kind === "moment") return t("talkersMoment", units.span(end - begin), range) + owner;
  return t(end - begin > MINUTE ? "talkersRange" : "talkersMinute", range) + owner;
}
