// What is wrong with a client, since when, and how bad it is.

import type { Direction, Moment, Summary } from "../api";
import { t } from "../i18n";
import { clockOffset, gone, now, silence } from "../presence";
import { clock } from "../time";
import * as units from "../units";
import type { History } from "./history";

const MINUTE = 60_000;

/** A loss or a burst needs attention for so long, milliseconds. After that it is history, which the
 *  columns tell. */
const RECENT = 10 * MINUTE;
/** A burst: as many packets within 10 ms as the link takes nearly, more than what one short transfer
 *  does in 1 ms. Buffers on the way have to hold them. */
const BURST = 0.9;
/** And so many times as much as the mean of its minute: a link that is full has peaks, not bursts. */
const ABOVE_MEAN = 2;

export interface Mark {
  text: string;
  /** How bad it is. */
  kind: "bad" | "warn" | "";
  /** The higher, the further up its client comes. */
  rank: number;
  /** When it was. */
  moment?: Moment;
}

export const directionName = (direction: Direction): string =>
  t(direction === "rx" ? "received" : "transmitted");

/** The time of the day by the client's clock. */
export const timeOf = ({ time }: Moment): string => clock(Date.parse(time), MINUTE);

/** How long ago a moment was, milliseconds, given how far the client's clock is ahead. */
export const age = ({ clock_offset_ns }: Summary, { time }: Moment): number =>
  now() + (clock_offset_ns ?? 0) / 1e6 - Date.parse(time);

const recent = (client: Summary, moment: Moment): boolean => age(client, moment) < RECENT;

const silent = ({ observed, sample_interval_ns }: Summary): number =>
  silence(observed, sample_interval_ns);

/** Whether its last figures are not those of this moment. */
export const stale = (client: Summary): boolean =>
  !client.up || client.elsewhere || silent(client) > 0;

function presence(client: Summary): Mark[] {
  if (!client.up) return [{ text: t("downFor", gone(client)), kind: "bad", rank: 70 }];
  if (client.elsewhere) return [{ text: t("elsewhere"), kind: "", rank: 0 }];
  const milliseconds = silent(client);
  const text = t("stale", units.span(milliseconds));
  return milliseconds > 0 ? [{ text, kind: "warn", rank: 45 }] : [];
}

function lost(client: Summary): Mark[] {
  const moment = client.hour?.lost;
  if (!(moment && recent(client, moment))) return [];
  const text = t("lossMark", units.exact(moment.packets), timeOf(moment));
  return [{ text, kind: "bad", rank: 60, moment }];
}

function full({ up, utilisation }: Summary): Mark[] {
  if (!(up && utilisation?.full_since)) return [];
  const { nic, direction, share, full_since } = utilisation;
  const since = clock(Date.parse(full_since), MINUTE);
  const text = t("fullMark", nic, directionName(direction), units.percent(share), since);
  return [{ text, kind: "bad", rank: 50 }];
}

function burst(client: Summary, history: History): Mark[] {
  const moment = client.hour?.peak_10ms;
  if (!moment || (moment.share ?? 0) < BURST || !recent(client, moment)) return [];
  if (client.utilisation?.full_since) return [];
  const time = Date.parse(moment.time) - (client.clock_offset_ns ?? 0) / 1e6;
  const mean = history.rate(client.client, moment.direction, time);
  if (mean !== null && moment.bytes_per_second < ABOVE_MEAN * mean) return [];
  const rate = units.rate(moment.bytes_per_second);
  const text = t("burstMark", rate, moment.nic, directionName(moment.direction), timeOf(moment));
  return [{ text, kind: "warn", rank: 20, moment }];
}

/** What is to be known of a client, the worst first. */
export function marks(client: Summary, history: History): Mark[] {
  const { links_down, clock_offset_ns, second_host, sample_interval_ns } = client;
  const list = [...presence(client), ...lost(client), ...full(client)];
  if (second_host) {
    list.push({ text: t("secondHost", second_host.refused), kind: "bad", rank: 40 });
  }
  if (links_down.length > 0) {
    list.push({ text: t("linksDown", links_down.join(", ")), kind: "warn", rank: 30 });
  }
  list.push(...burst(client, history));
  const offset = clockOffset(clock_offset_ns, sample_interval_ns);
  if (offset !== 0) list.push({ text: t("clock", units.offset(offset)), kind: "warn", rank: 10 });
  return list;
}
