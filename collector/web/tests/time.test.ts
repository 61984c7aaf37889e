import { expect, test } from "vitest";
import {
  aheadOfUtc,
  clock,
  fromTo,
  moment,
  ofField,
  offsetName,
  timeOf,
  toField,
  wall,
  zoneName,
} from "../src/time";

const HOUR = 3_600_000;
const BERLIN = "Europe/Berlin";

test("the wall of each zone shows its own time", () => {
  const time = Date.UTC(2026, 10, 26, 3, 4, 5, 678);
  expect(moment(time, 1, "UTC")).toBe("2026-11-26 03:04:05.678");
  expect(moment(time, 1000, BERLIN)).toBe("2026-11-26 04:04:05");
  expect(moment(time, 60_000, "Asia/Kolkata")).toBe("2026-11-26 08:34");
  expect(moment(time, 1000, "Pacific/Auckland")).toBe("2026-11-26 16:04:05");
  expect(clock(time, 1000, "America/St_Johns")).toBe("23:34:05");
  expect(offsetName(time, "America/St_Johns")).toBe("UTC−03:30");
  expect(offsetName(time, "Asia/Kathmandu")).toBe("UTC+05:45");
  expect(offsetName(time, "Africa/Abidjan")).toBe("UTC");
});

test("midnight is 00:00 and not 24:00", () => {
  expect(moment(Date.UTC(2026, 0, 1), 1000, "UTC")).toBe("2026-01-01 00:00:00");
});

test("a spring day in Berlin has no 02:30", () => {
  // Clocks go from 02:00 to 03:00 at 01:00 UTC.
  const jump = Date.UTC(2026, 2, 29, 1);
  expect(moment(jump - 1, 1, BERLIN)).toBe("2026-03-29 01:59:59.999");
  expect(moment(jump, 1, BERLIN)).toBe("2026-03-29 03:00:00.000");
  expect(aheadOfUtc(jump - 1, BERLIN)).toBe(HOUR);
  expect(aheadOfUtc(jump, BERLIN)).toBe(2 * HOUR);
  const shown = { year: 2026, month: 3, day: 29, hour: 2, minute: 30, second: 0 };
  expect(moment(timeOf(shown, BERLIN), 1000, BERLIN)).toBe("2026-03-29 03:30:00");
});

test("an autumn day in Berlin has 02:30 twice, and the first is meant", () => {
  const first = Date.UTC(2026, 9, 25, 0, 30);
  expect(moment(first, 1000, BERLIN)).toBe("2026-10-25 02:30:00");
  expect(moment(first + HOUR, 1000, BERLIN)).toBe("2026-10-25 02:30:00");
  const shown = { year: 2026, month: 10, day: 25, hour: 2, minute: 30, second: 0 };
  expect(timeOf(shown, BERLIN)).toBe(first);
  expect(timeOf({ ...shown, hour: 3 }, BERLIN)).toBe(Date.UTC(2026, 9, 25, 2, 30));
});

// Lord Howe goes by half an hour.
test.each([BERLIN, "America/New_York", "Australia/Lord_Howe"])(
  "each hour of a year in %s leads back to itself, but for those that are there twice",
  (zone) => {
    const begin = Date.UTC(2026, 0, 1);
    for (let time = begin; time < begin + 365 * 24 * HOUR; time += HOUR) {
      const back = timeOf(wall(time, zone), zone);
      const twice = back < time && moment(back, 1000, zone) === moment(time, 1000, zone);
      expect(back === time || twice, moment(time, 1000, zone)).toBe(true);
    }
  },
);

test("a range says its day once, and its zone, or both where clocks change", () => {
  const begin = Date.UTC(2026, 9, 24, 22);
  expect(fromTo(begin, begin + 1000, BERLIN)).toBe(
    "2026-10-25 00:00:00.000 – 00:00:01.000 UTC+02:00",
  );
  expect(fromTo(begin, begin + HOUR, BERLIN)).toBe("2026-10-25 00:00:00 – 01:00:00 UTC+02:00");
  expect(fromTo(begin, begin + HOUR, "UTC")).toBe("2026-10-24 22:00:00 – 23:00:00 UTC");
  expect(fromTo(begin, begin + 25 * HOUR, BERLIN)).toBe(
    "2026-10-25 00:00:00 UTC+02:00 – 2026-10-26 00:00:00 UTC+01:00",
  );
});

test("a zone has its offset and its name, and both offsets where clocks change", () => {
  const begin = Date.UTC(2026, 9, 24, 22);
  expect(zoneName(begin, begin + HOUR, "UTC")).toBe("UTC");
  expect(zoneName(begin, begin + HOUR, BERLIN)).toBe("UTC+02:00 (Europe/Berlin)");
  expect(zoneName(begin, begin + 5 * HOUR, BERLIN)).toBe("UTC+02:00 – UTC+01:00 (Europe/Berlin)");
});

test("a field for dates holds what the wall of the zone shows", () => {
  const time = Date.UTC(2026, 10, 26, 3, 4, 5);
  expect(toField(time, BERLIN)).toBe("2026-11-26T04:04:05");
  expect(ofField("2026-11-26T04:04:05", BERLIN)).toBe(time);
  expect(ofField("2026-11-26T04:04", BERLIN)).toBe(time - 5000);
  expect(ofField("2026-11-26T04:04:05.5", "UTC")).toBe(time + HOUR);
  expect(ofField("", BERLIN)).toBe(null);
});
