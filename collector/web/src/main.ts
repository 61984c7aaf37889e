// The page: its frame, and which of its two views is shown. The address holds the state.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { language, switchLanguage, t } from "./i18n";
import { write } from "./dom";
import { stateListeners, type State } from "./live";
import { showOverview } from "./overview";
import { showClient } from "./client";

const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
let leave = (): void => {};
let shown = "";
let state: State = "connecting";

function frame(): void {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  write(byId("skip"), t("skip"));
  write(byId("language"), t("language"));
  write(byId("about"), t("about"));
  byId("connection").dataset.state = state;
  write(byId("connection"), t(state));
}

function show(again = false): void {
  const [path = "", query = ""] = location.hash.replace(/^#/, "").split("?");
  if (path === "main") return;
  const key = path + language();
  if (key === shown && !again) return;
  shown = key;
  leave();
  const main = byId("main");
  main.replaceChildren();
  const [kind, client, nic] = path.split("/").filter(Boolean).map(decodeURIComponent);
  leave = kind === "client" && client
    ? showClient(main, client, nic, new URLSearchParams(query)) : showOverview(main);
}

stateListeners.add((now) => { state = now; frame(); });
byId("language").addEventListener("click", () => { switchLanguage(); frame(); show(true); });
window.addEventListener("hashchange", () => show());
frame();
show();
