// The mirrored chart: received above, transmitted below; gaps stay gaps, loss is drawn where it was.

import type uPlot from "uplot";
import { color } from "../theme";
import * as units from "../units";
import { type Drawing, type Lines, steps } from "./drawing";
import { marks, shade } from "./marks";
import { columns, type Shown, scaleOf } from "./shown";

const WIDTH = 1.5;

const band = (series: [number, number], name: string, dir: 1 | -1): uPlot.Band => ({
  series,
  fill: () => `${color(name)}40`,
  dir,
});
const mean = (direction: string) => steps(() => color(direction), WIDTH);
const peak = steps(() => "transparent", 0);

const LINES: Lines = {
  key: "mirrored",
  series: [mean("rx"), peak, mean("tx"), peak],
  bands: [band([2, 1], "rx", -1), band([4, 3], "tx", 1)],
};

export function mirrored(shown: Shown): Drawing {
  const { from, to, bend } = shown;
  const unit = units.perByte();
  return {
    ...{ from, to, bend, lines: LINES },
    data: columns(shown, unit),
    ends: scaleOf(shown, unit).ends,
    under: (plot) => shade(plot, shown),
    over: (plot) => marks(plot, shown),
  };
}
