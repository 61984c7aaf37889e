// What the collector says of accounts: see api/v1/openapi.json.

import { ask } from "../api";

export interface Commit {
  bits_per_second: number;
  allowed: number;
  exceeded: number;
  bursts_left: number;
}
export interface Share {
  client: string;
  nic: string;
  rx_bytes: number;
  tx_bytes: number;
  missing_ns: number;
}
export interface Statement {
  account: string;
  cycle: string;
  from: string;
  to: string;
  from_told: string;
  to_told: string;
  as_of: string;
  state: "ahead" | "running" | "closed" | "frozen";
  terms: { rule: string; basis: string; unit: "GB" | "GiB"; quota_bytes: number | null };
  metered: {
    elapsed_intervals: number;
    measured_intervals: number;
    missing_ns: number;
    p95: {
      bits_per_second: number | null;
      min_bits_per_second: number | null;
      max_bits_per_second: number | null;
    };
    /** Of the end of a running cycle, as it looks. */
    p95_outlook: { bits_per_second: number; method: "as_last_seven_days" | "as_so_far" } | null;
    commit: Commit | null;
    outlook: { method: "mean_of_seven_days" | "mean_so_far" } | null;
    nics: Share[];
  };
  unknown_members: string[];
  opening_bytes: number;
  used_bytes: number;
  used_max_bytes: number | null;
  left_bytes: number | null;
  used_percent: number | null;
  projected_bytes: number | null;
  projected_percent: number | null;
  provider_bytes: number | null;
  provider_percent: number | null;
  digest: string | null;
  warnings: { warning: string; at: string; message: string }[];
}

/** Of the running cycles of all accounts. */
export const statements = async (signal: AbortSignal): Promise<Statement[]> =>
  (await ask<{ accounts: Statement[] }>("accounts", signal)).accounts;

export const frozen = async (account: string, signal: AbortSignal): Promise<Statement[]> => {
  const path = `accounts/cycles?${new URLSearchParams({ account })}`;
  return (await ask<{ accounts: Statement[] }>(path, signal)).accounts;
};

export const csvOf = (account: string, cycle: string): string =>
  `api/v1/accounts/evidence?${new URLSearchParams({ account, cycle })}`;
