import { expect, test } from "vitest";
import {
  alertsAddress,
  clientAddress,
  clientPath,
  compareAddress,
  momentAddress,
  overviewAddress,
  parse,
  subjectAddress,
  talkersAddress,
} from "../src/address";
import { pathOf, subjectOf } from "../src/subject";

/** What an address becomes when the page has read and kept it. */
function kept(hash: string): string {
  const address = parse(hash);
  if (address.page === "accounts") return "#/accounts";
  if (address.page === "group") {
    return subjectAddress({ kind: "group", tags: address.tags }, address.look);
  }
  if (address.page === "compare") {
    return compareAddress(address.subjects.map(pathOf), address.look);
  }
  if (address.page === "talkers") return talkersAddress(address.state);
  if (address.page === "alerts") return alertsAddress(address.state);
  return address.page === "client"
    ? clientAddress(address.client, address.state)
    : overviewAddress(address.state);
}

test.each([
  "#/",
  "#/?search=DB-&sort=client&order=up",
  "#/?only=attention",
  "#/accounts",
  "#/alerts",
  "#/alerts?range=2592000&rule=full&client=web-1",
  "#/alerts?from=1700000000000&to=1700000300000",
  "#/?search=a&sort=lost&rows=dense&columns=utilisation%2Clost",
  "#/?columns=",
  "#/?search=site%3Dams+web&by=site",
  "#/?by=site&closed=ams%2C",
  "#/?by=site&closed=",
  "#/group?range=86400",
  "#/group/site=ams,role=cache?range=2592000&scale=log",
  "#/group/path=a%2Fb:c?range=3600&peaks=0",
  "#/group/site=?range=3600",
  "#/compare?range=3600",
  "#/compare?range=3600&of=%2Fclient%2Fweb-1&of=%2Fclient%2Fweb-1%2Feth0&of=%2Fgroup%2Fsite%3Dams",
  "#/client/web-1/eth0?range=300",
  "#/client/web-1/eth0?range=2592000&peaks=0&scale=log",
  "#/client/web-1/eth0.100?from=1790000000000&to=1790000600000",
  "#/client/a%2Fb%3Fc%23d/eth0%2F1?range=60",
  "#/client/web-1/eth0?range=300&talkers=tx-owner-link",
  "#/client/web-1/eth0?range=300&talkers=rx-host-rate&at=1790000000500",
  "#/talkers",
  "#/talkers?range=604800&address=2001%3Adb8%3A%3A%2F32",
])("%s stays as it is", (hash) => {
  expect(kept(hash)).toBe(hash);
});

test.each([
  ["", "#/"],
  ["#/nonsense", "#/"],
  ["#/?sort=password&order=sideways", "#/"],
  ["#/?sort=recent&rows=many", "#/"],
  ["#/?columns=tx,rx,password", "#/?columns=rx%2Ctx"],
  ["#/?columns=recent,utilisation,rx,tx,peak,peak10,lost,state", "#/"],
  ["#/client/web-1", "#/client/web-1/?range=300"],
  [
    "#/client/web-1/eth0?range=60&talkers=all&at=soon",
    "#/client/web-1/eth0?range=60&talkers=rx-host-rate",
  ],
  ["#/client/web-1/eth0?range=60&scale=linear", "#/client/web-1/eth0?range=60"],
  ["#/client/web-1/eth0?range=17", "#/client/web-1/eth0?range=300"],
  ["#/client/web-1/eth0?from=9&to=5", "#/client/web-1/eth0?range=300"],
  ["#/client/web-1/eth0?from=x&to=5", "#/client/web-1/eth0?range=300"],
  ["#/group/site=ams", "#/group/site=ams?range=86400"],
  ["#/group/nonsense", "#/group?range=86400"],
  ["#/?closed=ams", "#/"],
  ["#/?by=site&closed=ams", "#/?by=site&closed=ams"],
  ["#/compare?of=/client/a&of=/client/a&of=/accounts", "#/compare?range=86400&of=%2Fclient%2Fa"],
  // Not encoded as it should be: no reason to show nothing.
  ["#/client/50%/eth0", "#/client/50%25/eth0?range=300"],
])("%s is read as %s", (hash, read) => {
  expect(kept(hash)).toBe(read);
});

test("names of any kind get into an address and out of it again", () => {
  for (const client of ["a b", "ä/ö", "<img>", "?x=1&y", "100%", "汉字"]) {
    expect(parse(clientPath(client))).toMatchObject({ page: "client", client });
  }
});

test("what has a chart is named by the path of its page", () => {
  for (const path of ["/client/a", "/client/a/eth0%2F1", "/group", "/group/site=ams,role=x:1"]) {
    expect(pathOf(subjectOf(path) ?? { kind: "client", client: "" })).toBe(path);
  }
  for (const path of ["", "/accounts", "/client", "/client/"]) expect(subjectOf(path)).toBe(null);
});

test("a moment is shown with what was around it", () => {
  expect(momentAddress("web-1", "eth0/1", 1_790_000_000_000, 500)).toBe(
    "#/client/web-1/eth0%2F1?from=1789999970000&to=1790000030500",
  );
  expect(momentAddress("web-1", "eth0", 1_790_000_000_000, 60_000)).toBe(
    "#/client/web-1/eth0?from=1789999940000&to=1790000120000",
  );
});
