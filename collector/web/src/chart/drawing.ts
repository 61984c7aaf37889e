// What a chart shows.

import uPlot from "uplot";

/** The lines of a chart. */
export interface Lines {
  /** Others of this name are drawn with the same chart. */
  key: string;
  series: uPlot.Series[];
  bands: uPlot.Band[];
}

export interface Drawing {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  /** Up to this rate, in the unit shown, the scale is linear, past it logarithmic; 0: linear
   *  throughout. */
  bend: number;
  lines: Lines;
  data: uPlot.AlignedData;
  /** Ends of the scale, in the unit shown. */
  ends: [low: number, high: number];
  /** Draws below the lines, and above. */
  under: (plot: uPlot) => void;
  over: (plot: uPlot) => void;
}

const stepped = uPlot.paths.stepped?.({ align: 1 });

/** A line of steps, broken where nothing was measured. `stroke`: its colour. */
export const steps = (stroke: () => string, width: number, dash: number[] = []): uPlot.Series => ({
  stroke,
  width,
  ...(dash.length > 0 ? { dash } : {}),
  ...(stepped ? { paths: stepped } : {}),
  points: { show: false },
  spanGaps: false,
});
