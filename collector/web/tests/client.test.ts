import { expect, test } from "vitest";
import { describe as textOf } from "../src/client/events";
import { sizeNames } from "../src/client/mix";

test("size classes begin where the one before ends", () => {
  expect(sizeNames([64, 127, 1518, null])).toEqual(["≤ 64", "65–127", "128–1518", "> 1518"]);
  expect(sizeNames([])).toEqual([]);
});

test("events of any collector have a text", () => {
  const event = { time: "2026-11-26T00:00:00Z", interval_ns: 0 };
  expect(textOf({ ...event, kind: "lost", packets: 25_574 })).toBe("25 574 packets lost");
  expect(textOf({ ...event, kind: "gap", reason: "spool_full", rx_bytes: 5e6 })).toBe(
    "samples missing (the spool was full); received 5.00 MB, transmitted 0 B",
  );
  expect(textOf({ ...event, kind: "gap", reason: "eclipse" })).toContain("(eclipse)");
  expect(textOf({ ...event, kind: "eclipse" as "gap" })).toBe("eclipse");
});
