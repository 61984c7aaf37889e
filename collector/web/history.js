// The last minutes of one NIC: what it carried, and a small drawing of it.

/// What is drawn, milliseconds: as far back as the collector tells if not asked otherwise.
const WINDOW = 300_000;

/// Size of a drawing in CSS pixels, as style.css has it: asking for it would lay out the page.
const WIDTH = 170;
const HEIGHT = 30;

/// Rates over time, oldest first. Times are milliseconds since 1970 by the collector's clock.
export class History {
  #points = [];

  /// Adds a newer interval.
  add(start, length, rx, tx) {
    this.#points.push({ start, length, rx, tx });
    const old = start - WINDOW;
    const kept = this.#points.findIndex((point) => point.start + point.length > old);
    if (kept > 0) this.#points.splice(0, kept);
  }

  /// Puts what was stored before everything that came in meanwhile.
  prepend(stored) {
    const first = this.#points[0]?.start ?? Infinity;
    this.#points.unshift(...stored.filter((point) => point.start + point.length <= first));
  }

  /// Draws received upwards and transmitted downwards from the middle. Time without figures
  /// stays empty: it was not measured.
  draw(canvas, now, colors) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(WIDTH * ratio), Math.round(HEIGHT * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const middle = Math.round(height / 2);
    const columns = this.#columns(now, width);
    const most = columns.reduce((most, it) => Math.max(most, it?.rx ?? 0, it?.tx ?? 0), 0);
    for (const [x, column] of columns.entries()) {
      if (!column) continue;
      context.fillStyle = colors.line;
      context.fillRect(x, middle, 1, Math.max(1, ratio));
      if (most === 0) continue;
      const up = (column.rx / most) * (middle - 1);
      const down = (column.tx / most) * (height - middle - 1);
      context.fillStyle = colors.rx;
      context.fillRect(x, middle - up, 1, up);
      context.fillStyle = colors.tx;
      context.fillRect(x, middle + 1, 1, down);
    }
  }

  /// For each pixel the highest rates of the intervals that touch it.
  #columns(now, width) {
    const columns = new Array(width).fill(undefined);
    const position = (time) => ((time - now) / WINDOW + 1) * width;
    for (const { start, length, rx, tx } of this.#points) {
      const from = Math.max(0, Math.floor(position(start)));
      const to = Math.min(width - 1, Math.floor(position(start + length)));
      for (let x = from; x <= to; x += 1) {
        const column = columns[x];
        columns[x] = column
          ? { rx: Math.max(column.rx, rx), tx: Math.max(column.tx, tx) }
          : { rx, tx };
      }
    }
    return columns;
  }
}
