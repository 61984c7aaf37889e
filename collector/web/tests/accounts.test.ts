import { expect, test } from "vitest";
import type { Statement } from "../src/accounts/api";
import { billed, figures, fullness, historyCells, volume, warned } from "../src/accounts/figures";
import { parse } from "../src/address";
import { language, switchLanguage } from "../src/i18n";

if (language() === "zh") switchLanguage();

const statement: Statement = {
  account: "transit",
  cycle: "2026-11",
  from: "2026-10-31T23:00:00Z",
  to: "2026-11-30T23:00:00Z",
  from_told: "2026-11-01 00:00 CET",
  to_told: "2026-12-01 00:00 CET",
  as_of: "2026-11-20T00:00:00Z",
  state: "running",
  terms: { rule: "tx", basis: "L2", unit: "GB", quota_bytes: 2e12 },
  metered: {
    elapsed_intervals: 100,
    measured_intervals: 90,
    missing_ns: 0,
    p95: { bits_per_second: 8e8, min_bits_per_second: 8e8, max_bits_per_second: 8e8 },
    p95_outlook: { bits_per_second: 9e8, method: "as_last_seven_days" },
    commit: { bits_per_second: 1e9, allowed: 432, exceeded: 100, bursts_left: 332 },
    outlook: { method: "mean_of_seven_days" },
    nics: [],
  },
  unknown_members: [],
  opening_bytes: 0,
  used_bytes: 1.5e12,
  used_max_bytes: 1.5e12,
  left_bytes: 5e11,
  used_percent: 75,
  projected_bytes: 2.1e12,
  projected_percent: 105,
  provider_bytes: null,
  provider_percent: null,
  digest: null,
  warnings: [],
};

const said = (it: Statement): Record<string, string> =>
  Object.fromEntries(figures(it).map(({ id, value, kind }) => [id, `${value} ${kind}`.trim()]));

test("volumes are in the account's unit", () => {
  expect(volume(1_234_567_890_000, "GB")).toBe("1 234.568 GB");
  expect(volume(2 ** 30 * 1.5, "GiB")).toBe("1.500 GiB");
});

test("a statement says what is used, left and to be expected", () => {
  expect(said(statement)).toEqual({
    used: "1 500.000 GB of 2 000.000 GB, 75.00 % good",
    left: "500.000 GB good",
    projected: "2 100.000 GB, 105.00 % (at the mean of 7 days) bad",
    p95: "800 Mbit/s",
    "p95-projected": "900 Mbit/s (if the rest is as the last 7 days)",
    bursts: "332 of 432 left good",
  });
});

test("what was not measured is a range, and no bound is invented", () => {
  const p95 = { bits_per_second: 8e8, min_bits_per_second: 7e8, max_bits_per_second: null };
  const metered = { ...statement.metered, missing_ns: 36e11, p95 };
  const range = said({ ...statement, metered, used_max_bytes: 1.6e12 });
  expect(range.most).toBe("1 600.000 GB; 60 min not measured warn");
  expect(range.p95).toBe("800 Mbit/s (700 Mbit/s to ? with what was not measured)");
  const unbounded = said({ ...statement, metered, used_max_bytes: null });
  expect(unbounded.most).toBe("no known bound; 60 min not measured warn");
});

test("a percentile that looks like ending over the commitment is bad", () => {
  const p95_outlook = { bits_per_second: 11e8, method: "as_so_far" } as const;
  const metered = { ...statement.metered, p95_outlook };
  const told = said({ ...statement, metered });
  expect(told["p95-projected"]).toBe("1.10 Gbit/s (if the rest is as all so far) bad");
  const free = said({ ...statement, metered: { ...metered, commit: null } });
  expect(free["p95-projected"]).toBe("1.10 Gbit/s (if the rest is as all so far)");
  const over = said({ ...statement, metered: { ...metered, p95_outlook: null } });
  expect(over["p95-projected"]).toBeUndefined();
});

test("over the quota and over the commitment is bad", () => {
  const commit = { bits_per_second: 1e9, allowed: 432, exceeded: 440, bursts_left: -8 };
  const metered = { ...statement.metered, commit };
  const over = said({ ...statement, metered, left_bytes: -1e9, used_percent: 100.05 });
  expect(over.left).toBe("none, 1.000 GB over bad");
  expect(over.bursts).toBe("440 of 432: the percentile is over it bad");
  expect([null, 0, 80, 100].map(fullness)).toEqual(["", "good", "warn", "bad"]);
});

test("a frozen cycle stands beside what the provider says", () => {
  const cells = historyCells({ ...statement, provider_bytes: 1.6e12, provider_percent: 6.66 });
  expect(cells).toEqual(["1 500.000 GB", "1 500.000 GB", "800 Mbit/s", "1 600.000 GB (+6.66 %)"]);
  expect(historyCells({ ...statement, used_max_bytes: null })[1]).toBe("?");
  const metered = { ...statement.metered, measured_intervals: 0 };
  expect(historyCells({ ...statement, metered, used_bytes: 0 })[0]).toBe("Not measured");
});

test("the accounts have an address", () => {
  expect(parse("#/accounts").page).toBe("accounts");
});

test("what is billed is said in words", () => {
  expect(billed(statement.terms)).toBe("Billed: transmitted, wire bytes without FCS (L2).");
  const other = { ...statement.terms, rule: "new", basis: "L4" };
  expect(billed(other), "of a newer collector").toBe("Billed: new, L4.");
});

test("warnings are told by name, the newest first", () => {
  const given = (warning: string, at: string) => ({ warning, at, message: `said ${warning}` });
  const warnings = [
    given("80%", "2026-11-20T00:00:00Z"),
    given("projected", "2026-11-21T00:00:00Z"),
    given("later", "2026-11-19T00:00:00Z"),
  ];
  const told = warned([{ ...statement, warnings }]).map(({ text, message }) => [text, message]);
  expect(told).toEqual([
    ["it looks like ending over its quota", "said projected"],
    ["80 % or more of the quota is used", "said 80%"],
    ["said later", "said later"],
  ]);
});
