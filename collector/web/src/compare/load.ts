// Asks for what is compared.

import * as api from "../api";
import { billed, LIVE_RANGE, POINTS, type Rates } from "../client/stored";
import { asFineAsThereIs, askable, group } from "../groups/api";
import { t } from "../i18n";
import { Points } from "../points";
import type { Subject } from "../subject";
import { stepped } from "./lines";

const MINUTE = 60_000;
const FIVE_MINUTES = 5 * MINUTE;

/** What a line is drawn from. */
interface Told {
  points: api.Point[];
  p95: Rates | null;
  /** Days of which the collector tells nothing yet. */
  missing: number;
}

export interface Loaded {
  /** Of each: its points and percentile, or why it has none. */
  found: ({ points: Points; p95: Rates | null; missing: number } | { failed: string })[];
  /** Distance of points, milliseconds; 0: each NIC has its own. */
  step: number;
}

type Limits = readonly [from: number, to: number];

type Nic = Subject & { kind: "nic" };

/** The points of a NIC, with the percentile over its range. */
async function ofNic(
  { client, nic }: Nic,
  [from, to]: Limits,
  points: Promise<api.Point[]>,
  signal: AbortSignal,
): Promise<Told> {
  const long = to - from >= LIVE_RANGE;
  const asked = long ? api.percentile({ client, nic, from, to }, signal) : null;
  const [told, p95] = await Promise.all([points, asked]);
  return { points: told, p95: billed(p95), missing: 0 };
}

/** Samples of a NIC, or what they were put together to. */
function fine(subject: Nic, range: Limits, signal: AbortSignal): Promise<Told> {
  const { client, nic } = subject;
  const [from, to] = range;
  const points = api.series({ client, nic, from, to }, POINTS, "auto", signal);
  return ofNic(
    subject,
    range,
    points.then((series) => series.points),
    signal,
  );
}

async function inSteps(
  subject: Subject,
  range: Limits,
  step: number,
  signal: AbortSignal,
): Promise<Told> {
  if (subject.kind !== "nic") {
    if (subject.kind === "group" && !askable(subject.tags)) throw new Error(t("twoMissing"));
    const whose = subject.kind === "group" ? { tags: subject.tags } : { client: subject.client };
    const { told: all, group: told } = await group(whose, range, step, signal);
    const missing = all.missing_days;
    if (!told) return { points: [], p95: null, missing };
    const { measured_intervals, rx_p95_bits_per_second, tx_p95_bits_per_second, points } = told;
    const rx_bits_per_second = rx_p95_bits_per_second;
    const tx_bits_per_second = tx_p95_bits_per_second;
    const p95 = billed({ measured_intervals, rx_bits_per_second, tx_bits_per_second });
    return { points, p95, missing };
  }
  // In whole steps, the collector puts points together to steps.
  const from = Math.floor(range[0] / step) * step;
  const to = Math.ceil(range[1] / step) * step;
  const resolution = step < FIVE_MINUTES ? "1m" : "5m";
  const { client, nic } = subject;
  const most = Math.max(1, (to - from) / step);
  const points = api.series({ client, nic, from, to }, most, resolution, signal);
  return ofNic(
    subject,
    range,
    points.then((series) => stepped(series.points, step)),
    signal,
  );
}

/** All at once; one that fails leaves the others. */
async function all(
  subjects: readonly Subject[],
  get: (subject: Subject) => Promise<Told>,
): Promise<Loaded["found"]> {
  const told = await Promise.allSettled(subjects.map(get));
  const gone = told.find((it) => it.status === "rejected" && it.reason instanceof api.Unreachable);
  if (gone?.status === "rejected") throw gone.reason;
  return told.map((it) =>
    it.status === "fulfilled"
      ? { ...it.value, points: new Points(it.value.points) }
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
    const found = await all(nics, (nic) => fine(nic as Nic, range, signal));
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
