// The live page: keeps the table current with what the collector tells. Everything that comes
// from a host gets in by textContent alone.

import { Stream } from "./stream.js";
import { ClientRows } from "./rows.js";
import * as format from "./format.js";

/// Clients shown at most; the filter finds the others.
const SHOWN_MAX = 200;

/// How often the page is redrawn, milliseconds.
const REDRAW = 500;

const byId = (id) => document.getElementById(id);
const table = byId("table");
const filter = byId("filter");

/// "host-2" comes before "host-10".
const names = new Intl.Collator(undefined, { numeric: true });

/// Rows by client id.
const clients = new Map();

const stream = new Stream("api/v1/live", {
  onSnapshot(told) {
    const known = new Set(told.map((client) => client.client));
    for (const id of [...clients.keys()]) if (!known.has(id)) remove(id);
    told.forEach(put);
    arrange();
  },
  onUpdate(told, gone) {
    const before = clients.size;
    told.forEach(put);
    gone.forEach(remove);
    if (clients.size !== before || gone.length > 0) arrange();
  },
  onState(state) {
    byId("connection").dataset.state = state;
    byId("connection").textContent = {
      connecting: "connecting",
      live: "live",
      lost: "connection to the collector lost, trying again",
      paused: "paused while the page is hidden",
    }[state];
    document.body.classList.toggle("lost", state === "lost");
    if (state === "lost") announce("Connection to the collector lost");
  },
});

function put(told) {
  const rows = clients.get(told.client);
  if (rows) {
    rows.update(told, stream);
  } else {
    clients.set(told.client, new ClientRows(told, stream));
  }
}

function remove(id) {
  clients.get(id)?.body.remove();
  clients.delete(id);
}

/// Puts the clients that match the filter into the table, in order of their names.
function arrange() {
  byId("waiting").hidden = clients.size > 0;
  byId("clients").hidden = clients.size === 0;
  byId("summary").hidden = clients.size === 0;
  const wanted = filter.value.trim().toLowerCase();
  const matching = [...clients.values()].filter((rows) => rows.matches(wanted));
  matching.sort((a, b) => names.compare(a.name, b.name));
  const shown = matching.slice(0, SHOWN_MAX);
  const present = new Set(shown.map((rows) => rows.body));
  for (const body of [...table.tBodies]) if (!present.has(body)) body.remove();
  shown.forEach((rows, index) => {
    if (table.tBodies[index] !== rows.body) {
      table.insertBefore(rows.body, table.tBodies[index] ?? null);
    }
  });
  const hidden = matching.length - shown.length;
  byId("more").textContent =
    matching.length === 0 ? "nothing matches" : hidden > 0 ? `${hidden} more: use the filter` : "";
}

/// Draws what changed since the last time, and what time alone changes.
function redraw() {
  const now = stream.now();
  const sum = { rx: 0, tx: 0, packets: 0, drops: 0, up: 0 };
  for (const rows of clients.values()) {
    const totals = rows.redraw(now);
    sum.rx += totals.rx.bytes;
    sum.tx += totals.tx.bytes;
    sum.packets += totals.rx.packets + totals.tx.packets;
    sum.drops += totals.recentDrops;
    sum.up += rows.up ? 1 : 0;
  }
  figure(byId("sum-rx"), format.rate(sum.rx));
  figure(byId("sum-tx"), format.rate(sum.tx));
  const [packets, prefix] = format.count(sum.packets);
  figure(byId("sum-packets"), [packets, `${prefix}/s`]);
  figure(byId("sum-clients"), [String(sum.up), `of ${clients.size}`]);
  figure(byId("sum-drops"), format.count(sum.drops));
  byId("sum-drops").classList.toggle("bad", sum.drops > 0);
  if (stream.state === "live") announceClients(sum.up);
}

function figure(place, [value, unit]) {
  if (place.childElementCount === 0) {
    for (const part of ["value", "unit"]) {
      const span = document.createElement("span");
      span.className = part;
      place.append(span, " ");
    }
  }
  const [first, second] = place.children;
  if (first.textContent !== value) first.textContent = value;
  if (second.textContent !== unit) second.textContent = unit;
}

let announced = "";

/// Says something to those who listen instead of look: only what is new.
function announce(text) {
  if (text === announced) return;
  announced = text;
  byId("announcer").textContent = text;
}

const announceClients = (up) =>
  announce(clients.size === 0 ? "Waiting for the first agent"
    : `${up} of ${clients.size} clients connected`);

filter.addEventListener("input", arrange);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
});
setInterval(() => document.hidden || redraw(), REDRAW);
stream.open();

fetch("api/v1/version")
  .then((answer) => answer.json())
  .then(({ version }) => { byId("version").textContent = version; })
  .catch(() => {});
