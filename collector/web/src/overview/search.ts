// What is searched for: tags such as `site=ams`, and text.

import type { Summary } from "../api";
import { hasAll, listOf, type Tags, tagOf } from "../tags";

export interface Search {
  /** A client has to have all of them; `site=`: no tag of that key. */
  tags: Tags;
  text: string;
}

export function searchOf(typed: string): Search {
  const words = typed.trim().split(/\s+/);
  const text = words.filter((word) => !tagOf(word)).join(" ");
  return { tags: words.map(tagOf).filter((tag) => tag !== null), text: text.toLowerCase() };
}

export const found = ({ client, alias, tags: own }: Summary, { tags, text }: Search): boolean =>
  `${client} ${alias}`.toLowerCase().includes(text) && hasAll(own, tags);

/** The same search with one more tag, or with another value of its key. */
export function withTag(typed: string, tag: Tags[number]): string {
  const { tags } = searchOf(typed);
  const rest = typed
    .split(/\s+/)
    .filter((word) => word !== "" && tagOf(word)?.[0] !== tag[0])
    .join(" ");
  const has = tags.some(([key, value]) => key === tag[0] && value === tag[1]);
  return has ? rest : `${rest} ${listOf([tag])}`.trim();
}
