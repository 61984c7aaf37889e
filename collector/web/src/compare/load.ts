// Asks for what is compared.

import * as api from "../api";
import { POINTS } from "../client/stored";
import { asFineAsThereIs, askable, group } from "../groups/api";
import { t } from "../i18n";
import { Points } from "../points";
import type { Subject } from "../subject";
import { stepped } from "./lines";

const MINUTE = 60_000;
const FIVE_MINUTES = 5 * MINUTE;

export interface Loaded {
  /** Of each: its points, or why it has none. */
  found: ({ points: Points } | { failed: string })[];
  /** Distance of points, milliseconds; 0: each NIC has its own. */
  step: number;
}

type Limits = readonly [from: number, to: number];

/** Samples of a NIC, or what they were put together to. */
async function fine(subject: Subject & { kind: "nic" }, [from, to]: Limits, signal: AbortSignal) {
  const { client, nic } = subject;
  return (await api.series({ client, nic, from, to }, POINTS, "auto", signal)).points;
}

async function inSteps(subject: Subject, range: Limits, step: number, signal: AbortSignal) {
  if (subject.kind !== "nic") {
    if (subject.kind === "group" && !askable(subject.tags)) throw new Error(t("twoMissing"));
    const whose = subject.kind === "group" ? { tags: subject.tags } : { client: subject.client };
    return (await group(whose, range, step, signal)).group?.points ?? [];
  }
  // In whole steps, the collector puts points together to steps.
  const from = Math.floor(range[0] / step) * step;
  const to = Math.ceil(range[1] / step) * step;
  const resolution = step < FIVE_MINUTES ? "1m" : "5m";
  const { client, nic } = subject;
  const most = Math.max(1, (to - from) / step);
  return stepped(
    (await api.series({ client, nic, from, to }, most, resolution, signal)).points,
    step,
  );
}

/** All at once; one that fails leaves the others. */
async function all(
  subjects: readonly Subject[],
  get: (subject: Subject) => Promise<api.Point[]>,
): Promise<Loaded["found"]> {
  const told = await Promise.allSettled(subjects.map(get));
  const gone = told.find((it) => it.status === "rejected" && it.reason instanceof api.Unreachable);
  if (gone?.status === "rejected") throw gone.reason;
  return told.map((it) =>
    it.status === "fulfilled"
      ? { points: new Points(it.value) }
      : { failed: api.reasonOf(it.reason) },
  );
}

/** Everything about a range. NICs alone are as fine as on their own pages; with others among them, all have
 *  the same step, for averages of different lengths can't be compared. */
export async function load(
  subjects: readonly Subject[],
  range: Limits,
  signal: AbortSignal,
): Promise<Loaded> {
  const nics = subjects.filter((subject) => subject.kind === "nic");
  if (nics.length === subjects.length) {
    const found = await all(nics, (nic) => fine(nic as (typeof nics)[number], range, signal));
    return { found, step: 0 };
  }
  return asFineAsThereIs(
    range[1] - range[0],
    async (step) => ({
      found: await all(subjects, (subject) => inSteps(subject, range, step, signal)),
      step,
    }),
    ({ found }) => found.every((it) => "failed" in it || it.points.length === 0),
  );
}
