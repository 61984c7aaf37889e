// What has a chart: a client with all of its NICs, one of its NICs, or a group of clients.

import { listOf, type Tags, tagsOf } from "./tags";

export type Subject =
  | { kind: "client"; client: string }
  | { kind: "nic"; client: string; nic: string }
  | { kind: "group"; tags: Tags };

/** Part of a path as text; what is wrongly encoded stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The parts of a path. */
export const partsOf = (path: string): string[] => path.split("/").filter(Boolean).map(decoded);

const encoded = (text: string): string =>
  encodeURIComponent(text).replaceAll("%3D", "=").replaceAll("%2C", ",").replaceAll("%3A", ":");

/** The path of its page. */
export function pathOf(subject: Subject): string {
  if (subject.kind === "client") return `/client/${encoded(subject.client)}`;
  if (subject.kind === "nic") return `/client/${encoded(subject.client)}/${encoded(subject.nic)}`;
  const list = listOf(subject.tags);
  return list === "" ? "/group" : `/group/${encoded(list)}`;
}

/** What a path leads to. */
export function subjectOf(path: string): Subject | null {
  const [kind, name = "", nic = ""] = partsOf(path);
  if (kind === "group") return { kind, tags: tagsOf(name) };
  if (kind !== "client" || name === "") return null;
  return nic === "" ? { kind, client: name } : { kind: "nic", client: name, nic };
}
