// What a group is called, and what it carries this moment.

import { DIRECTIONS, type Direction, type Summary } from "../api";
import { t } from "../i18n";
import { stale } from "../overview/trouble";
import type { Tags } from "../tags";
import * as units from "../units";

/** The name of a group: its tags. */
export function nameOf(tags: Tags): string {
  if (tags.length === 0) return t("allClients");
  return tags
    .map(([key, value]) => (value === "" ? t("without", key) : `${key}=${value}`))
    .join(" ");
}

/** What clients carry this moment, in one line. */
export function now(clients: readonly Summary[]): string {
  const carried = (direction: Direction) =>
    clients.reduce((sum, it) => sum + (stale(it) ? 0 : it[direction].bytes_per_second), 0);
  const up = clients.filter((client) => client.up).length;
  const rates = DIRECTIONS.map((direction) => `${t(direction)} ${units.rate(carried(direction))}`);
  return [t("nowUp", up, clients.length), ...rates].join(" · ");
}
