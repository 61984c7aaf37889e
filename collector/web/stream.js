// What the collector tells: one stream of events, opened again whenever it ends.

/// First and longest wait before another try, milliseconds.
const RETRY = [1000, 30_000];

export class Stream {
  state = "connecting";
  #path;
  #handlers;
  #source = null;
  #wait = RETRY[0];
  #timer = 0;
  /// The collector's clock less this page's, milliseconds.
  #ahead = Date.now() - performance.now();

  constructor(path, handlers) {
    this.#path = path;
    this.#handlers = handlers;
    // A page that nobody looks at costs the collector nothing.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        this.#close();
        this.#enter("paused");
      } else {
        this.open();
      }
    });
  }

  /// The collector's time, milliseconds since 1970.
  now() {
    return performance.now() + this.#ahead;
  }

  open() {
    this.#close();
    if (this.state !== "lost") this.#enter("connecting");
    const source = new EventSource(this.#path);
    this.#source = source;
    source.addEventListener("snapshot", (event) => {
      const { now, clients } = JSON.parse(event.data);
      this.#wait = RETRY[0];
      this.#synchronise(now);
      this.#handlers.onSnapshot(clients);
      this.#enter("live");
    });
    source.addEventListener("update", (event) => {
      const { now, clients, gone } = JSON.parse(event.data);
      this.#synchronise(now);
      this.#handlers.onUpdate(clients, gone);
    });
    source.addEventListener("error", () => {
      this.#enter("lost");
      // The browser tries again by itself, unless it was refused.
      if (source.readyState === EventSource.CLOSED) {
        this.#timer = setTimeout(() => this.open(), this.#wait);
        this.#wait = Math.min(this.#wait * 2, RETRY[1]);
      }
    });
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #synchronise(now) {
    this.#ahead = Date.parse(now) - performance.now();
  }

  #enter(state) {
    if (this.state === state) return;
    this.state = state;
    this.#handlers.onState(state);
  }
}
