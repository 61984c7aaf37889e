// The clients of a group: what each carried, and what share that is.

import { type Look, subjectAddress } from "../address";
import { DIRECTIONS, type Direction } from "../api";
import { element } from "../dom";
import { t } from "../i18n";
import * as units from "../units";
import type { Group } from "./api";

const FIVE_MINUTES = 300_000;
/** What is at the edges of the range is no lack. */
const LACK = 0.98;

const bytesOf = (group: Group, direction: Direction): number => group[`${direction}_bytes`];
const volume = (group: Group): number => group.rx_bytes + group.tx_bytes;

/** Members, the largest first. */
export const largest = (members: readonly Group[]): Group[] =>
  [...members].sort((a, b) => volume(b) - volume(a));

/** Members that have fewer measurements than the whole: the sum lacks them in between. */
export const lacking = (members: readonly Group[], whole: Group): Group[] =>
  members.filter(({ measured_intervals }) => measured_intervals < LACK * whole.measured_intervals);

function share(member: Group, whole: Group, direction: Direction): HTMLElement {
  const [part, all] = [bytesOf(member, direction), bytesOf(whole, direction)];
  const bar = element("i", { class: `bar ${direction}`, "aria-hidden": "true" });
  bar.style.width = `${all > 0 ? (100 * part) / all : 0}%`;
  return element("td", {}, bar, `${units.bytes(part)} · ${units.share(part, all)}`);
}

/** A link to a member. */
function linkTo(client: string, look: Look): HTMLElement {
  const href = subjectAddress({ kind: "client", client }, look);
  return element("a", { href }, client);
}

function row(member: Group, whole: Group, name: HTMLElement | string, lacks = false): HTMLElement {
  const head = element("th", { scope: "row" }, name);
  const p95 = DIRECTIONS.map((direction) => {
    const bits = member[`${direction}_p95_bits_per_second`];
    return element("td", {}, bits === null ? "–" : units.rate(bits / 8));
  });
  const measured = units.span(member.measured_intervals * FIVE_MINUTES);
  return element(
    "tr",
    { "data-member": member.value ?? "" },
    head,
    ...DIRECTIONS.map((direction) => share(member, whole, direction)),
    ...p95,
    element("td", { class: lacks ? "warn" : "" }, measured),
  );
}

/** A table of the members. `other`: those that are too many to be told one by one. */
export function table(
  members: readonly Group[],
  other: (Group & { values: number }) | null | undefined,
  whole: Group,
  look: Look,
): HTMLElement {
  const heads: [text: string, kind: string][] = [
    [t("client"), ""],
    [t("rx"), "rx"],
    [t("tx"), "tx"],
    [`${t("rx")}, p95`, "rx"],
    [`${t("tx")}, p95`, "tx"],
    [t("measured"), ""],
  ];
  const cells = heads.map(([text, kind]) => element("th", { scope: "col", class: kind }, text));
  const head = element("thead", {}, element("tr", {}, ...cells));
  const few = new Set(lacking(members, whole));
  const rows = largest(members).map((member) =>
    row(member, whole, linkTo(member.value ?? "", look), few.has(member)),
  );
  if (other) rows.push(row(other, whole, t("otherMembers", other.values)));
  const count = members.length + (other?.values ?? 0);
  const caption = element("caption", {}, t("members", count));
  return element("table", {}, caption, head, element("tbody", {}, ...rows));
}
