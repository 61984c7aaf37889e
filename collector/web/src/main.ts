// The page: its frame, and which of its views is shown. The address holds the state.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./overview/overview.css";
import { showAccounts } from "./accounts/page";
import { type Address, parse } from "./address";
import { askFiring, countOf, firing, forgetFiring, onFiring } from "./alerts/firing";
import { showAlerts } from "./alerts/page";
import { refusals, signedIn, signOut } from "./api";
import { Banner } from "./banner";
import { showClient } from "./client/page";
import { showCompare } from "./compare/page";
import { write } from "./dom";
import { showGroup } from "./groups/page";
import { language, switchLanguage, t } from "./i18n";
import { healthListeners, watchStore } from "./live";
import { showOverview } from "./overview/page";
import { health } from "./presence";
import { askForToken } from "./signin";
import { showTalkers } from "./talkers/search";
import { applyTheme, switchTheme, type Theme, theme } from "./theme";
import { inUtc, shownZone, switchZone } from "./time";
import { switchUnit, unit } from "./units";

/** The links in the header, and the pages that they lead to. */
const LINKS = { "to-alerts": "alerts", "to-talkers": "talkers", "to-accounts": "accounts" };
const THEME_SIGNS: Record<Theme, string> = { auto: "◐", dark: "●", light: "○" };

const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
let leave = (): void => {};
let shown = "";
const banner = new Banner(byId("banner"));

function frame(): void {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  write(byId("skip"), t("skip"));
  write(byId("to-accounts"), t("accounts"));
  write(byId("to-talkers"), t("talkers"));
  write(byId("alerts-name"), t("alerts"));
  byId("pages").setAttribute("aria-label", t("pages"));
  showFiring();
  write(byId("language"), t("language"));
  write(byId("unit"), unit());
  byId("unit").setAttribute("aria-label", t("unit", unit()));
  write(byId("zone"), inUtc() ? "UTC" : t("local"));
  byId("zone").setAttribute("aria-label", t("zone", shownZone()));
  byId("zone").title = t("zone", shownZone());
  write(byId("theme"), THEME_SIGNS[theme()]);
  byId("theme").setAttribute("aria-label", t(`theme_${theme()}`));
  byId("theme").title = t(`theme_${theme()}`);
  write(byId("signout"), t("signOut"));
  write(byId("about"), t("about"));
  showHealth();
}

/** How many alerts fire, on every page. */
function showFiring(): void {
  const [count, critical] = countOf(firing());
  const place = byId("firing-count");
  place.hidden = count === "";
  write(place, count);
  place.className = critical ? "bad" : "warn";
  const name = count ? t("alertsCount", count) : t("alerts");
  byId("to-alerts").setAttribute("aria-label", name);
}

/** How the connection is, and what is wrong. What is shown gets grey while nothing is heard. */
function showHealth(): void {
  const { state } = health;
  document.body.dataset.state = state;
  byId("connection").dataset.state = state;
  write(byId("connection"), t(state));
  banner.show(health.problems(), health.collectorTime(Date.now()));
}

function pageOf(address: Address, main: HTMLElement): () => void {
  if (address.page === "client") return showClient(main, address.client, address.state);
  if (address.page === "group") return showGroup(main, address.tags, address.look);
  if (address.page === "compare") return showCompare(main, address.subjects, address.look);
  if (address.page === "alerts") return showAlerts(main, address.state);
  if (address.page === "talkers") return showTalkers(main, address.state);
  if (address.page === "accounts") return showAccounts(main);
  return showOverview(main, address.state);
}

function show(again = false): void {
  if (location.hash === "#main") return;
  if (location.hash === shown && !again) return;
  leave();
  const main = byId("main");
  main.replaceChildren();
  const address = parse(location.hash);
  leave = pageOf(address, main);
  for (const [id, page] of Object.entries(LINKS)) {
    if (page === address.page) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
  }
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

healthListeners.add(showHealth);
// What is wrong gets older.
setInterval(showHealth, 1000);

function resume(): void {
  health.connecting();
  show(true);
  askFiring();
  offerSignOut();
}

refusals.add(() => {
  // Each request that was on its way is refused.
  if (health.connection === "signedOut" && document.getElementById("signin")) return;
  leave();
  leave = () => {};
  forgetFiring();
  health.refused();
  showHealth();
  byId("signout").hidden = true;
  askForToken(byId("main"), health.heardOnce, resume);
});
// It may have been signed in on another page.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) askFiring();
  if (document.hidden || health.connection !== "signedOut") return;
  signedIn()
    .then((is) => {
      if (is) resume();
    })
    .catch(() => {});
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
byId("zone").addEventListener("click", () => {
  switchZone();
  frame();
  show(true);
});
byId("theme").addEventListener("click", () => {
  switchTheme();
  frame();
});
window.addEventListener("hashchange", () => show());
applyTheme();
frame();
show();
watchStore();
onFiring(showFiring);
offerSignOut();
