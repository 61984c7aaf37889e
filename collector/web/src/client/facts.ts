// What a client is and how it is this moment, in one line.

import type { Client, SecondHost } from "../api";
import { t } from "../i18n";
import { clockOffset, gone, silence } from "../presence";
import { moment } from "../time";
import * as units from "../units";

export interface Facts {
  text: string;
  /** Whether something is wrong. */
  wrong: boolean;
}

function presence(client: Client, silent: number): string {
  if (!client.up) return t("gone", moment(Date.parse(client.last_seen)), gone(client));
  if (client.elsewhere) return t("elsewhere");
  return silent > 0 ? t("stale", units.span(silent)) : t("connected");
}

function twoHosts({ kept, refused, since }: SecondHost): string {
  return t("twoHosts", kept, refused, moment(Date.parse(since)));
}

export function facts(client: Client): Facts {
  const { host, nics, clock_offset_ns, second_host, up, elsewhere } = client;
  const observed = nics.map(({ sample }) => sample?.observed ?? "").sort();
  const silent = silence(observed.at(-1) || null, host.sample_interval_ns);
  const offset = clockOffset(clock_offset_ns, host.sample_interval_ns);
  const parts = [
    presence(client, silent),
    `${host.os} ${host.kernel}`.trim(),
    host.cpus ? t("cpus", host.cpus) : "",
    host.agent_version ? t("agent", host.agent_version) : "",
    host.sample_interval_ns ? t("every", units.span(host.sample_interval_ns / 1e6)) : "",
    offset === 0 ? "" : t("clock", units.offset(offset)),
    second_host ? twoHosts(second_host) : "",
  ];
  const silenced = silent > 0 && !elsewhere;
  return {
    text: parts.filter(Boolean).join(" · "),
    wrong: !up || silenced || second_host !== null,
  };
}
