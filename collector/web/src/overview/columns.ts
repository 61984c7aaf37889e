// The columns of the overview. Where there is too little room, the less important ones are left out.

import type { Column } from "../address";
import { type Text, t } from "../i18n";
import { WIDTH } from "./history";

interface Spec {
  text: Text;
  /** The same on a phone. */
  short?: Text;
  /** What it says in full, where the head is short. */
  meaning?: Text;
  /** Pixels. */
  width: number;
  /** The higher, the sooner it is left out. */
  spare: number;
}

/** Least width of a client's name. */
const NAME = 132;
const GAP = 8;
/** A phone's. */
const NARROW = 520;

export const SPECS: Record<Column, Spec> = {
  client: { text: "client", width: NAME, spare: 0 },
  recent: { text: "recent", width: WIDTH, spare: 5 },
  utilisation: {
    ...{ text: "utilisation", short: "utilisationShort", meaning: "utilisationMeans" },
    ...{ width: 124, spare: 3 },
  },
  rx: { text: "rx", short: "rxShort", width: 92, spare: 1 },
  tx: { text: "tx", short: "txShort", width: 92, spare: 2 },
  peak: { text: "peak", meaning: "peakMeans", width: 136, spare: 6 },
  peak10: { text: "peak10", meaning: "peak10Means", width: 136, spare: 9 },
  lost: { text: "lostHour", meaning: "lostMeans", width: 118, spare: 4 },
  packets: { text: "packetRate", width: 84, spare: 8 },
  drops: { text: "lostPackets", meaning: "lostMeans", width: 96, spare: 10 },
  tags: { text: "tags", width: 150, spare: 11 },
  state: { text: "state", width: 96, spare: 7 },
};

export const isNarrow = (room: number): boolean => room < NARROW;

/** What a column takes where there is little room. */
export const widthOf = (column: Column, room: number): number => {
  if (!isNarrow(room)) return SPECS[column].width;
  return { client: 82, utilisation: 46, rx: 76, tx: 76 }[column as string] ?? SPECS[column].width;
};

/** Those of the chosen columns for which there is room, in pixels. */
export function fitting(chosen: readonly Column[], room: number): Column[] {
  const needed = (columns: Column[]) =>
    columns.reduce((sum, column) => sum + widthOf(column, room) + GAP, -GAP);
  const columns = [...chosen];
  while (columns.length > 1 && needed(columns) > room) {
    const sparest = columns.reduce((a, b) => (SPECS[b].spare > SPECS[a].spare ? b : a));
    columns.splice(columns.indexOf(sparest), 1);
  }
  return columns;
}

/** A column's head, and what it says in full. */
export function headOf(column: Column, room: number): { head: string; title: string } {
  const { text, short, meaning } = SPECS[column];
  const told = meaning ? [t(meaning)] : [];
  if (!(short && isNarrow(room))) return { head: t(text), title: told.join("") };
  return { head: t(short), title: [t(text), ...told].join(": ") };
}

/** The columns for a style sheet. */
export const template = (columns: readonly Column[], room: number): string =>
  columns
    .map((column) => {
      const width = widthOf(column, room);
      return column === "client" ? `minmax(${width}px, 1fr)` : `${width}px`;
    })
    .join(" ");
