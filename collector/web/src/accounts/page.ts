// The billing months: a card for each account, with its running cycle and the frozen ones.

import "./accounts.css";
import { reasonOf } from "../api";
import { element, showTitle, write } from "../dom";
import { t } from "../i18n";
import { followAll } from "../live";
import { frozen, statements } from "./api";
import { Card } from "./card";

/** The collector renews its statements every minute. */
const RENEW = 60_000;

class AccountsPage {
  private readonly over = new AbortController();
  private readonly place = element("div", { id: "accounts" });
  private readonly note = element("p", { id: "accounts-note", class: "note", role: "status" });
  private cards = new Map<string, Card>();
  /** Cards on the screen whose frozen cycles are to be asked for. */
  private readonly due = new Set<Card>();
  private asking = false;
  private readonly seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) this.onSeen(target, isIntersecting);
  });
  private readonly shown = new Set<Card>();

  constructor(main: HTMLElement) {
    main.append(this.place, this.note);
    showTitle(t("accounts"));
    // Only what is followed tells how the collector is.
    const unfollow = followAll(() => {});
    const timer = setInterval(() => void this.renew(), RENEW);
    this.over.signal.addEventListener("abort", () => {
      unfollow();
      clearInterval(timer);
      this.seen.disconnect();
    });
    void this.renew();
  }

  leave(): void {
    this.over.abort();
  }

  private async renew(): Promise<void> {
    // Hidden pages cost nothing.
    if (document.hidden) return;
    try {
      const found = await statements(this.over.signal);
      const before = this.cards;
      this.cards = new Map(
        found.map(({ account }) => [account, before.get(account) ?? new Card(account)]),
      );
      for (const [name, card] of before) if (!this.cards.has(name)) this.drop(card);
      found.forEach((it, at) => {
        const card = this.cards.get(it.account) as Card;
        card.show(it);
        const there = this.place.children[at] ?? null;
        if (there !== card.element) this.place.insertBefore(card.element, there);
        this.seen.observe(card.element);
      });
      write(this.note, found.length === 0 ? t("accountsNone") : "");
      for (const card of this.shown) this.due.add(card);
      await this.askPast();
    } catch (error) {
      if (!this.over.signal.aborted) write(this.note, t("failed", reasonOf(error)));
    }
  }

  private drop(card: Card): void {
    this.seen.unobserve(card.element);
    this.shown.delete(card);
    this.due.delete(card);
    card.element.remove();
  }

  private onSeen(target: Element, is: boolean): void {
    const card = [...this.cards.values()].find((it) => it.element === target);
    if (!card) return;
    if (!is) {
      this.shown.delete(card);
      this.due.delete(card);
      return;
    }
    this.shown.add(card);
    this.due.add(card);
    void this.askPast();
  }

  /** Asks for the frozen cycles of what is on the screen, one account after another. */
  private async askPast(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      for (const card of this.due) {
        this.due.delete(card);
        card.showPast(await frozen(card.account, this.over.signal));
      }
    } catch (error) {
      if (!this.over.signal.aborted) write(this.note, t("failed", reasonOf(error)));
    } finally {
      this.asking = false;
    }
  }
}

/** Shows the accounts until the function that it gives is called. */
export function showAccounts(main: HTMLElement): () => void {
  const page = new AccountsPage(main);
  return () => page.leave();
}
