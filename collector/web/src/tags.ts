// Tags of clients, and groups of clients that have them.

/** What a client has to have: of each key a value; an empty one: no tag of that key. */
export type Tags = readonly (readonly [key: string, value: string])[];

const TAG = /^([a-z][a-z0-9_.-]*)=([^\s,]*)$/;

/** The tag that a text is. */
export function tagOf(text: string): Tags[number] | null {
  const [, key, value] = TAG.exec(text) ?? [];
  return key === undefined || value === undefined ? null : [key, value];
}

/** The tags of a list such as `site=ams,role=cache`; what is none is left out. */
export const tagsOf = (list: string): Tags =>
  list
    .split(",")
    .map(tagOf)
    .filter((tag) => tag !== null);

/** The tags as a list. */
export const listOf = (tags: Tags): string => tags.map((tag) => tag.join("=")).join(",");

/** What a client has of a key. */
export const tagValue = (own: Record<string, string>, key: string): string =>
  Object.hasOwn(own, key) ? (own[key] ?? "") : "";

/** Whether a client has all of the tags. */
export const hasAll = (own: Record<string, string>, tags: Tags): boolean =>
  tags.every(([key, value]) => tagValue(own, key) === value);
