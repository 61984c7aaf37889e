// The language of the page, and its texts.

import { remember, remembered } from "./storage";
import { en } from "./texts/en";
import { zh } from "./texts/zh";

export type Text = keyof typeof en;
const KEY = "language";

const preferred = (): string =>
  remembered(KEY) ?? (typeof navigator === "undefined" ? "en" : navigator.language);
let chinese = preferred().startsWith("zh");

/** Whether there is a text of that name. */
export const isText = (name: string): name is Text => Object.hasOwn(en, name);

/** The text in the chosen language, with its places filled. */
export function t(text: Text, ...values: (string | number)[]): string {
  return (chinese ? zh : en)[text].replace(/\{(\d)\}/g, (_, n) => String(values[Number(n)] ?? ""));
}

export const language = (): "zh" | "en" => (chinese ? "zh" : "en");

/** The language for dates and for the document. */
export const locale = (): string => (chinese ? "zh-CN" : "en-GB");

export function switchLanguage(): void {
  chinese = !chinese;
  remember(KEY, language());
}
