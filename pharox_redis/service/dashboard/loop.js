// Work that is done again and again: the next turn is timed from the end of the last one, so turns
// never overlap, and a tab that nobody looks at asks less often.

export class Loop {
  /**
   * @param work      async function, given an AbortSignal; what it throws is its own business
   * @param shown     milliseconds between turns while the page is seen; a number or a function
   * @param hidden    the same while it is not
   */
  constructor(work, shown, hidden) {
    this.work = work;
    this.pause = () => {
      const value = document.hidden ? hidden : shown;
      return typeof value === "function" ? value() : value;
    };
    this.timer = 0;
    this.stopper = null;
    this.looked = () => {
      if (!document.hidden) this.soon();
    };
  }

  start() {
    if (this.stopper) return;
    this.stopper = new AbortController();
    document.addEventListener("visibilitychange", this.looked);
    this.#turn(this.stopper.signal);
  }

  /** Ends the loop; a request under way is given up. */
  stop() {
    this.stopper?.abort();
    this.stopper = null;
    clearTimeout(this.timer);
    this.timer = 0;
    document.removeEventListener("visibilitychange", this.looked);
  }

  /** Takes the next turn now, unless one is under way. */
  soon() {
    if (!this.timer || !this.stopper) return;
    clearTimeout(this.timer);
    this.#turn(this.stopper.signal);
  }

  async #turn(signal) {
    this.timer = 0;
    try {
      await this.work(signal);
    } finally {
      if (!signal.aborted) this.timer = setTimeout(() => this.#turn(signal), this.pause());
    }
  }
}
