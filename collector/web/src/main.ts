// The page: its frame, and which of its two views is shown. The address holds the state.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { parse } from "./address";
import { refusals, signedIn, signOut } from "./api";
import { showClient } from "./client/page";
import { write } from "./dom";
import { language, switchLanguage, t } from "./i18n";
import { reconnect, type State, stateListeners } from "./live";
import { showOverview } from "./overview/page";
import { askForToken } from "./signin";
import { switchUnit, unit } from "./units";

const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
let leave = (): void => {};
let shown = "";
let state: State = "connecting";

function frame(): void {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  write(byId("skip"), t("skip"));
  write(byId("language"), t("language"));
  write(byId("unit"), unit());
  byId("unit").setAttribute("aria-label", t("unit", unit()));
  write(byId("signout"), t("signOut"));
  write(byId("about"), t("about"));
  byId("connection").dataset.state = state;
  write(byId("connection"), t(state));
}

function show(again = false): void {
  if (location.hash === "#main") return;
  if (location.hash === shown && !again) return;
  leave();
  const main = byId("main");
  main.replaceChildren();
  const address = parse(location.hash);
  leave =
    address.page === "client"
      ? showClient(main, address.client, address.state)
      : showOverview(main, address.state);
  shown = location.hash;
  if (!again) scrollTo(0, 0);
}

/** Who has signed in can sign out; who was let in otherwise has nothing to end. */
function offerSignOut(): void {
  signedIn()
    .then((is) => {
      byId("signout").hidden = !is;
    })
    .catch(() => {});
}

stateListeners.add((now) => {
  state = now;
  frame();
});
refusals.add(() => {
  byId("signout").hidden = true;
  askForToken(byId("main"), () => {
    show(true);
    reconnect();
    offerSignOut();
  });
});
// What is shown goes with the page, which asks for the token then.
byId("signout").addEventListener("click", () => {
  signOut()
    .then(() => location.reload())
    .catch((error: unknown) => write(byId("connection"), t("failed", String(error))));
});
byId("language").addEventListener("click", () => {
  switchLanguage();
  frame();
  show(true);
});
byId("unit").addEventListener("click", () => {
  switchUnit();
  frame();
  show(true);
});
window.addEventListener("hashchange", () => show());
frame();
show();
offerSignOut();
