import { expect, test } from "vitest";
import { isText, language, switchLanguage, t } from "../src/i18n";
import { en } from "../src/texts/en";
import { zh } from "../src/texts/zh";

const places = (text: string): string[] => [...text.matchAll(/\{\d\}/g)].map(String).sort();

test("Chinese says all that English says, and fills in the same", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const [name, text] of Object.entries(en)) {
    expect(text, name).not.toBe("");
    expect(places(zh[name as keyof typeof en]), name).toEqual(places(text));
  }
});

test("Chinese texts are Chinese, with Chinese marks", () => {
  const international = new Set([
    "ofAll",
    "csv",
    "png",
    "agent",
    "language",
    "loss",
    "alertComma",
    "alertAlias",
  ]);
  for (const [name, text] of Object.entries(zh)) {
    if (international.has(name) || name.startsWith("tcp_")) continue;
    expect(text, name).toMatch(/\p{Script=Han}/u);
    expect(text, name).not.toMatch(/\p{Script=Han} ?[,:;?!()]|[,:;?!()] ?\p{Script=Han}/u);
  }
});

test("English texts have no Chinese marks", () => {
  for (const [name, text] of Object.entries(en)) {
    if (name !== "language") expect(text, name).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]/);
  }
});

const sources = import.meta.glob<string>("../src/**/*.ts", {
  query: "?raw",
  import: "default",
  eager: true,
});

test("each text is used", () => {
  const code = Object.entries(sources)
    .filter(([path]) => !path.includes("/texts/"))
    .map(([, text]) => text)
    .join("\n");
  const made = [
    "event_",
    "gap_",
    "theme_",
    "mean_",
    "what_",
    "measure_",
    "ended_",
    "told_",
    "warn_",
    "rule_",
    "by_",
    "scale_",
    "owner_",
  ];
  for (const name of Object.keys(en)) {
    if (!made.some((prefix) => name.startsWith(prefix))) {
      expect(new RegExp(`["'\`]${name}["'\`]`).test(code), name).toBe(true);
    }
  }
});

test("places are filled, and the language can be switched", () => {
  if (language() === "zh") switchLanguage();
  expect(t("ofAll", 3, 5)).toBe("3 of 5");
  switchLanguage();
  expect(t("ofAll", 3, 5)).toBe("3 / 5");
  switchLanguage();
  expect(t("ofAll", 3)).toBe("3 of ");
  expect(isText("gap_spool_full")).toBe(true);
  expect(isText("toString")).toBe(false);
});
