import { expect, test } from "vitest";
import { describe } from "../src/banner";
import { Health } from "../src/health";
import { moment } from "../src/time";

const BEGIN = Date.UTC(2026, 10, 26, 12);
const SECOND = 1000;
const at = (seconds: number): number => BEGIN + seconds * SECOND;

/** Healthy until a time. */
function healthy(until = 10): Health {
  const health = new Health();
  health.heard(at(0), at(0));
  health.storeTold(at(0), null);
  health.heard(at(until), at(until));
  return health;
}

test("nothing is wrong while the collector is heard and its store is ready", () => {
  const health = new Health();
  expect([health.state, health.heardOnce, health.problems()]).toEqual(["connecting", false, []]);
  expect(healthy().state).toBe("live");
  expect(healthy().problems()).toEqual([]);
});

test("an unreachable collector is so since the first failure, and time stands still", () => {
  const health = healthy(10);
  for (const second of [12, 14, 16]) {
    health.connecting();
    health.unreachable(at(second));
  }
  expect(health.state).toBe("lost");
  expect(health.problems()).toEqual([{ kind: "unreachable", since: at(12), reason: "" }]);
  expect(health.now(at(3600))).toBe(at(10));
  health.heard(at(20), at(20));
  expect([health.state, health.problems()]).toEqual(["live", []]);
  expect(health.now(at(21))).toBe(at(21));
});

test("while a connection is made time stands still too", () => {
  const health = healthy(10);
  health.connecting();
  expect(health.now(at(60))).toBe(at(10));
});

test("a collector that was never heard is unreachable all the same", () => {
  const health = new Health();
  health.unreachable(at(1), "HTTP 502");
  expect(health.problems()).toEqual([{ kind: "unreachable", since: at(1), reason: "HTTP 502" }]);
  expect(health.now(at(5))).toBe(at(5));
});

test("signed out is no trouble with the connection", () => {
  const health = healthy();
  health.unreachable(at(11));
  health.refused();
  health.unreachable(at(12));
  expect([health.state, health.problems()]).toEqual(["signedOut", []]);
  health.connecting();
  expect(health.state).toBe("connecting");
});

test("a store that is away leaves what is live, and is away since it was last ready", () => {
  const health = healthy();
  health.storeTold(at(15), "no connection");
  health.storeTold(at(20), "no connection yet");
  expect(health.state).toBe("liveOnly");
  const problem = { kind: "storeAway", observed: true, reason: "no connection yet" };
  expect(health.problems()).toEqual([{ ...problem, since: at(15) }]);
  health.storeTold(at(25), null);
  expect([health.state, health.problems()]).toEqual(["live", []]);
});

test("a store that was away when the page was opened may be so for longer", () => {
  const health = new Health();
  health.heard(at(0), at(0));
  health.storeTold(at(1), "full");
  expect(health.problems()).toMatchObject([{ kind: "storeAway", since: at(1), observed: false }]);
});

test("of an unreachable collector nobody knows how its store is", () => {
  const health = healthy();
  health.storeTold(at(11), "full");
  health.unreachable(at(12));
  expect(health.problems().map(({ kind }) => kind)).toEqual(["unreachable"]);
});

test("times are the collector's, and a difference of more than 5 s is told", () => {
  const health = new Health();
  health.heard(at(0), at(4));
  expect(health.problems()).toEqual([]);
  health.heard(at(0), at(-600));
  health.unreachable(at(1));
  expect(health.problems()).toEqual([
    { kind: "unreachable", since: at(-599), reason: "" },
    { kind: "clock", ahead: -600 * SECOND },
  ]);
});

test("problems in words", () => {
  const since = at(0);
  const text = (problem: Parameters<typeof describe>[0]) => describe(problem, at(90)).join(" ");
  expect(text({ kind: "unreachable", since, reason: "" })).toBe(
    `The collector has been unreachable since ${moment(since)}. All figures are from then. (1.5 min)`,
  );
  expect(text({ kind: "storeAway", since, observed: false, reason: "disk full" })).toMatch(
    / or longer\. .* Reason: disk full\. \(1\.5 min\)$/,
  );
  expect(text({ kind: "clock", ahead: 120_000 })).toContain("clock is 2 min behind");
  expect(text({ kind: "clock", ahead: -7_400 })).toContain("clock is 7 s ahead");
});
