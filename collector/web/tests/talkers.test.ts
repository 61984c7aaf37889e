import { expect, test } from "vitest";
import { askForTalkers, parse } from "../src/address";
import { searchCsv, type Talker, type Talkers, talkersCsv } from "../src/talkers/api";
import { bars, isChosen, top } from "../src/talkers/stack";
import { linesOf, sureness } from "../src/talkers/table";
import { nameOf, ownerOf } from "../src/talkers/words";
import { BEGIN } from "./samples";

const NONE: Talker = {
  bytes: 0,
  packets: 0,
  error_bytes: 0,
  kind: null,
  address: null,
  other: null,
  host: null,
  protocol: null,
  port: null,
  owner: null,
};

const MINUTE_NS = 60e9;

/** Two minutes: 100 and 60 MB, of which one talker has 70, and nobody knows whose 20 are. */
const shown: Talkers = {
  kind: "minute",
  from: new Date(BEGIN).toISOString(),
  to: new Date(BEGIN + 120_000).toISOString(),
  covered_ns: 2 * MINUTE_NS,
  unreadable: 0,
  speed_bits_per_second: 1e8,
  total: { bytes: 160e6, packets: 200_000 },
  distinct: 30,
  distinct_error: 2,
  unlisted_bytes: 4e6,
  talkers: [{ ...NONE, address: "10.1.2.3", bytes: 70e6, packets: 90_000, error_bytes: 3.2e6 }],
  unattributed: { bytes: 20e6, packets: 30_000 },
  rest: { bytes: 70e6, packets: 80_000 },
  intervals: [
    [100e6, 50e6, 10e6, 40e6],
    [60e6, 20e6, 10e6, 30e6],
  ].map(([total_bytes = 0, own = 0, unattributed_bytes = 0, rest_bytes = 0], index) => ({
    time: new Date(BEGIN + index * 60_000).toISOString(),
    interval_ns: MINUTE_NS,
    total_bytes,
    talkers_bytes: [own],
    unattributed_bytes,
    rest_bytes,
  })),
  names: "off",
};

test("lines add up to the total, and each says how sure it is", () => {
  const lines = linesOf(shown);
  expect(lines.map(({ name }) => name)).toEqual(["10.1.2.3", "Unattributed", "Rest"]);
  const sum = (of: "bytes" | "packets") => lines.reduce((all, { amount }) => all + amount[of], 0);
  expect([sum("bytes"), sum("packets")]).toEqual([shown.total.bytes, shown.total.packets]);
  expect(sureness(lines[0]?.error ?? 0)).toBe("at most 3.20 MB more");
  expect(sureness(0)).toBe("exact");
  expect(lines[2]?.meaning).toBe("all others; none has over 4.00 MB");
  const known = { ...shown, unattributed: { bytes: 0, packets: 0 } };
  expect(linesOf(known).map(({ kind }) => kind)).toEqual(["1", "rest"]);
});

test("bars are as high as their rate, their part of the NIC's traffic, or of the link", () => {
  const heights = (scale: "rate" | "nic" | "link") =>
    bars(shown, scale).map(({ parts }) =>
      Number(parts.reduce((sum, { share }) => sum + share, 0).toFixed(6)),
    );
  expect(heights("rate")).toEqual([1, 0.6]);
  expect(heights("nic")).toEqual([1, 1]);
  // 100 MB in a minute are 13.3 Mbit/s of 100.
  expect(heights("link")).toEqual([0.133333, 0.08]);
  expect(top(shown, "link")).toBe("100 Mbit/s");
  expect(top({ ...shown, speed_bits_per_second: null }, "link")).toBe("13.3 Mbit/s");
  expect(bars(shown, "rate")[0]?.parts.map(({ kind }) => kind)).toEqual([
    "1",
    "unattributed",
    "rest",
  ]);
  expect(bars(shown, "rate")[0]?.text).toBe("13.3 Mbit/s (13 %)");
  const still = { ...shown, intervals: shown.intervals.map((it) => ({ ...it, total_bytes: 0 })) };
  expect(bars(still, "nic").every(({ parts }) => parts.length === 0)).toBe(true);
});

test.each([
  [{ address: "10.1.2.3" }, "10.1.2.3"],
  [{ address: "10.1.2.3", host: "db.example" }, "db.example (10.1.2.3)"],
  [{ address: "10.1.2.3", other: "2001:db8::1" }, "10.1.2.3 ⇄ 2001:db8::1"],
  [{ kind: "remote_service", protocol: 6, port: 443 }, "https 443/tcp there"],
  [{ kind: "local_service", protocol: 17, port: 40_000 }, "40000/udp here"],
  [{ kind: "local_service", protocol: 132, port: 443 }, "443/sctp here"],
  [{ kind: "no_port", protocol: 47 }, "GRE without a port"],
  [{ kind: "no_port", protocol: 200 }, "IP 200 without a port"],
  [{ kind: "ethertype", port: 0x88cc }, "LLDP"],
  [{ kind: "ethertype", port: 0x1234 }, "EtherType 0x1234"],
  [{ kind: "arp" }, "ARP"],
  [{ kind: "unparsed" }, "unreadable headers"],
  [{ kind: "of-a-newer-collector" }, "of-a-newer-collector"],
  [
    { address: "::1", kind: "icmp", owner: { kind: "process", name: "", process: "ping" } },
    "::1 · ICMP · process ping",
  ],
  [{}, "unknown"],
])("%o is called %s", (talker, name) => {
  expect(nameOf({ ...NONE, ...talker })).toBe(name);
});

test("owners say what they are", () => {
  const unit = { kind: "unit", name: "nginx.service", process: "nginx" };
  expect(ownerOf(unit)).toBe("unit nginx.service (nginx)");
  expect(ownerOf({ kind: "kernel", name: "", process: "" })).toBe("kernel");
  expect(ownerOf({ kind: "cgroup", name: "/", process: "" })).toBe("host (root cgroup)");
  expect(ownerOf({ kind: "cgroup", name: "/batch", process: "" })).toBe("cgroup /batch");
  expect(ownerOf({ kind: "jail", name: "a", process: "" })).toBe("jail a");
});

test("what is asked for is in the address", () => {
  const range = { client: "web-1", nic: "eth0", from: BEGIN, to: BEGIN + 60_000 };
  const asked = { ...range, direction: "rx", by: "host", at: null, names: false } as const;
  const times = `from=${BEGIN / 1000}.000&to=${BEGIN / 1000 + 60}.000`;
  expect(talkersCsv(asked)).toBe(
    `api/v1/talkers?client=web-1&nic=eth0&${times}&direction=rx&by=host&limit=8&format=csv`,
  );
  expect(talkersCsv({ ...asked, at: BEGIN + 500, names: true })).toBe(
    `api/v1/talkers?client=web-1&nic=eth0&at=${BEGIN / 1000}.500&direction=rx&by=host&limit=8&names=true&format=csv`,
  );
  expect(searchCsv({ address: "10.0.0.0/8", from: BEGIN, to: BEGIN + 60_000 })).toBe(
    `api/v1/talkers/search?${times}&address=10.0.0.0%2F8&format=csv`,
  );
  const who = { direction: "tx", by: "owner", scale: "nic", at: null } as const;
  expect(askForTalkers("#/client/a/eth0?from=1&to=2", who)).toBe(
    "#/client/a/eth0?from=1&to=2&talkers=tx-owner-nic",
  );
});

test.each([
  [null, ""],
  [BEGIN + 500, `&at=${BEGIN + 500}`],
  [[BEGIN, BEGIN + 120_000] as const, `&at=${BEGIN}-${BEGIN + 120_000}`],
])("an address keeps that %o is looked at", (at, text) => {
  const who = { direction: "tx", by: "owner", scale: "nic", at } as const;
  const address = askForTalkers("#/client/a/eth0?from=1&to=2", who);
  expect(address).toBe(`#/client/a/eth0?from=1&to=2&talkers=tx-owner-nic${text}`);
  expect(parse(address)).toMatchObject({ page: "client", state: { who } });
});

test.each(["", "x", "-5", "5-", "9-3", "0-7", "5-x"])("nothing is looked at by %o", (at) => {
  const address = `#/client/a/eth0?talkers=tx-owner-nic&at=${at}`;
  expect(parse(address)).toMatchObject({ state: { who: { direction: "tx", at: null } } });
});

test("a bar is chosen by a time in it, and by minutes that it begins in", () => {
  const chosen = (at: Parameters<typeof isChosen>[1]) =>
    bars(shown, "rate").map((bar) => isChosen(bar, at));
  expect(chosen(null)).toEqual([false, false]);
  expect(chosen(BEGIN + 59_999)).toEqual([true, false]);
  expect(chosen([BEGIN + 60_000, BEGIN + 120_000])).toEqual([false, true]);
  expect(chosen([BEGIN, BEGIN + 120_000])).toEqual([true, true]);
  // Its records cover less than it.
  const missing = {
    ...shown,
    intervals: shown.intervals.map((it) => ({ ...it, interval_ns: 1e9 })),
  };
  expect(bars(missing, "rate").map(({ start, end }) => [start, end])).toEqual([
    [BEGIN, BEGIN + 60_000],
    [BEGIN + 60_000, BEGIN + 120_000],
  ]);
});
