// The inbox: what fires, what fired, why, and who was told.

import "./alerts.css";
import { statements } from "../accounts/api";
import { warned } from "../accounts/figures";
import { type AlertsState, alertsAddress } from "../address";
import { reasonOf } from "../api";
import { element, keepAddress, onChange, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followAll } from "../live";
import { now } from "../presence";
import { moment } from "../time";
import {
  type Alert,
  openSilences,
  type Past,
  pastAlerts,
  pastCsv,
  type Rule,
  rulesInForce,
  type Silence,
} from "./api";
import { Choice, older } from "./choice";
import { firing, onFiring } from "./firing";
import { AlertList } from "./list";
import { merged, newest, PAGE } from "./past";
import { about, condition, type Known } from "./words";

/** What changes seldom is asked for this often, milliseconds. */
const RENEW = 60_000;

class AlertsPage {
  private readonly over = new AbortController();
  private readonly firing = new AlertList("firing");
  private readonly past = new AlertList("past");
  private readonly choice = new Choice((how) => this.change(how));
  private readonly more = older(() => void this.load(true));
  private readonly notes = {
    firing: element("p", { id: "firing-note", class: "note", role: "status" }),
    past: element("p", { id: "past-note", class: "note", role: "status" }),
  };
  private readonly places = {
    warnings: element("ul", { id: "warnings" }),
    silences: element("ul", { id: "silences" }),
    rules: element("ul", { id: "rules" }),
  };
  private rules = new Map<string, Rule>();
  private silences: Silence[] = [];
  private list: Alert[] = [];
  private next: string | null = null;
  private loading = 0;
  private fires: string | null = null;
  private readonly ending: (() => void)[] = [];

  constructor(
    main: HTMLElement,
    private state: AlertsState,
  ) {
    const { warnings, silences, rules } = this.places;
    const many = element("details", {}, element("summary", {}, t("alertsRules")), rules);
    main.append(
      section("alertsFiring", this.notes.firing, this.firing.element),
      section("accountWarnings", warnings),
      section("alertsSilences", silences),
      section("alertsPast", this.choice.element, this.notes.past, this.past.element, this.more),
      many,
    );
    showTitle(t("alerts"));
    this.more.hidden = true;
    this.show();
    // Only what is followed tells how the collector is.
    this.ending.push(followAll(() => {}));
    this.ending.push(onFiring(() => this.onFiring(), true));
    const renewing = setInterval(() => void this.renew(), RENEW);
    this.ending.push(() => clearInterval(renewing));
    const ticking = setInterval(() => this.show(), 1000);
    this.ending.push(() => clearInterval(ticking));
    void this.renew();
  }

  leave(): void {
    this.over.abort();
    this.choice.leave();
    for (const end of this.ending) end();
  }

  private change(how: Partial<AlertsState>): void {
    this.state = { ...this.state, ...how };
    keepAddress(alertsAddress(this.state));
    this.list = [];
    this.next = null;
    void this.load();
    this.show();
  }

  /** What no longer fires is of the past. */
  private onFiring(): void {
    const ids = (firing().alerts ?? []).map(({ id }) => id).join();
    const changed = this.fires !== null && this.fires !== ids;
    this.fires = ids;
    if (changed) void this.renew();
    this.show();
  }

  /** One question after another. */
  private async renew(): Promise<void> {
    const { signal } = this.over;
    await this.load();
    try {
      const rules = await rulesInForce(signal);
      this.rules = new Map(rules.map((rule) => [rule.name, rule]));
      this.silences = await openSilences(signal);
      // A rule about accounts tells of their warnings as alerts.
      const told = rules.some(({ measure }) => measure === "account");
      this.drawWarnings(told ? [] : warned(await statements(signal)));
    } catch {
      // What is known stays; the notes of the lists say what is wrong.
    }
    if (!signal.aborted) this.show();
  }

  private asked(): Past {
    const { range, rule, client } = this.state;
    const [from, to] = range.limits(now());
    return { from, to: range.live ? null : to, rule, client };
  }

  /** Loads what the list shows of the past anew, or what comes after it. */
  private async load(more = false): Promise<void> {
    this.loading += 1;
    const turn = this.loading;
    const asked = this.asked();
    const ask = (cursor: string | null, limit: number) =>
      pastAlerts(asked, cursor, limit, this.over.signal);
    try {
      const page = more ? await ask(this.next, PAGE) : await newest(this.list.length, ask);
      if (turn !== this.loading) return;
      this.list = more ? merged(this.list, page.alerts) : page.alerts;
      this.next = page.next;
      write(this.notes.past, this.list.length === 0 ? t("alertsNone") : "");
    } catch (error) {
      if (this.over.signal.aborted || turn !== this.loading) return;
      write(this.notes.past, t("failed", reasonOf(error)));
    }
    this.show();
  }

  private show(): void {
    const { alerts, more, failed } = firing();
    const known: Known = { rules: this.rules, silences: this.silences, now: now() };
    this.firing.show(alerts ?? [], known);
    this.past.show(this.list, known);
    this.more.hidden = this.next === null;
    write(this.notes.firing, noteOf(alerts, more, failed));
    this.choice.show(this.state, [...this.rules.keys()], known.now, pastCsv(this.asked()));
    this.drawRules([...this.rules.values()]);
    this.drawSilences(this.silences);
  }

  private readonly drawRules = onChange((rules: Rule[]) => {
    const items = rules.map((rule) => {
      const { name, severity, targets } = rule;
      const to = targets.length > 0 ? t("ruleTargets", targets.join(", ")) : t("ruleNoTarget");
      const how = t(severity === "critical" ? "critical" : "warning");
      return element("li", {}, element("strong", {}, name), ` (${how}) ${condition(rule)} ${to}`);
    });
    this.places.rules.replaceChildren(...items);
    if (items.length === 0) this.places.rules.append(element("li", {}, t("alertsNoRules")));
  });

  private readonly drawSilences = onChange((silences: Silence[]) => {
    const items = silences.map((it) => {
      const [from, until] = [it.from, it.until].map((time) => moment(Date.parse(time)));
      const text = t("silenceText", about(it), from ?? "", until ?? "", it.by, it.reason);
      return element("li", { "data-silence": it.id }, text);
    });
    showAll(this.places.silences, items);
  });

  private readonly drawWarnings = onChange((warnings: ReturnType<typeof warned>) => {
    const items = warnings.map(({ account, cycle, time, text }) => {
      const link = element("a", { href: "#/accounts" }, account);
      return element("li", {}, `${time} `, link, ` ${cycle}: ${text}`);
    });
    showAll(this.places.warnings, items);
  });
}

const section = (
  title: "alertsFiring" | "accountWarnings" | "alertsSilences" | "alertsPast",
  ...content: HTMLElement[]
): HTMLElement => element("section", {}, element("h2", {}, t(title)), ...content);

/** Shows items; without any, their section takes no room. */
function showAll(place: HTMLElement, items: HTMLElement[]): void {
  place.replaceChildren(...items);
  (place.parentElement as HTMLElement).hidden = items.length === 0;
}

function noteOf(alerts: Alert[] | null, more: boolean, failed: string): string {
  if (failed) return t("failed", failed);
  if (alerts?.length === 0) return t("alertsQuiet");
  return more ? t("alertsMore", alerts?.length ?? 0) : "";
}

/** Shows the inbox until the function that it gives is called. */
export function showAlerts(main: HTMLElement, state: AlertsState): () => void {
  const page = new AlertsPage(main, state);
  return () => page.leave();
}
