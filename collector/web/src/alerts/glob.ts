// Globs, as silences have them: * ? [a-z] [!a] {a,b}.

const ENDS: Record<string, string> = { "[": "]", "{": "}" };

function part(glob: string, at: number): [source: string, length: number] {
  const mark = glob[at] as string;
  if (mark === "*") return [".*", 1];
  if (mark === "?") return [".", 1];
  const end = ENDS[mark] ? glob.indexOf(ENDS[mark], at + 2) : -1;
  if (end < 0) return [mark.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&"), 1];
  const inside = glob.slice(at + 1, end);
  const length = end - at + 1;
  if (mark === "{") return [`(?:${inside.split(",").map(source).join("|")})`, length];
  const set = inside.replace(/^[!^]/, "").replace(/[\\\][^]/g, "\\$&");
  return [`[${/^[!^]/.test(inside) ? "^" : ""}${set}]`, length];
}

function source(glob: string): string {
  let made = "";
  for (let at = 0; at < glob.length; ) {
    const [next, length] = part(glob, at);
    made += next;
    at += length;
  }
  return made;
}

/** Whether a text is one that a glob means. */
export function matches(glob: string, text: string): boolean {
  try {
    return new RegExp(`^${source(glob)}$`, "su").test(text);
  } catch {
    // No set of characters, as [z-a]. The collector takes no such glob.
    return false;
  }
}
