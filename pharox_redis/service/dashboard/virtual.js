// A list of any length of which only the rows in sight are elements. It scrolls with the page. All
// rows are equally high (--row, from the style sheet), so a row's place is its number times that.
//
// Of the buttons in the rows only one is a tab stop, or the way to the end of the page would be ten
// thousand presses long: arrows, Page Up and Down, Home and End go from row to row.

import { setAttribute } from "./dom.js";

const BEYOND = 6; // rows kept above and below what is seen

export class VirtualRows {
  /**
   * @param host   the element the rows go in
   * @param make   () -> {root, show(item), button?}; a row is used for one item after another
   * @param keyOf  item -> what tells it from others
   */
  constructor(host, make, keyOf) {
    this.host = host;
    this.make = make;
    this.keyOf = keyOf;
    this.items = [];
    this.rows = new Map(); // key -> row, the ones in the page
    this.spare = [];
    this.tabbed = null; // key of the row whose button is the tab stop
    this.frame = 0;
    this.moved = () => {
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.render();
      });
    };
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("focusin", (event) => {
      const key = this.#keyAt(event.target);
      if (key !== null && key !== this.tabbed) {
        this.tabbed = key;
        this.#tabStop();
      }
    });
  }

  start() {
    addEventListener("scroll", this.moved, { passive: true });
    addEventListener("resize", this.moved);
    this.moved();
  }

  stop() {
    removeEventListener("scroll", this.moved);
    removeEventListener("resize", this.moved);
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  show(items) {
    this.items = items;
    this.render();
  }

  /** First and last (exclusive) index in sight. */
  range(beyond = 0) {
    const top = this.host.getBoundingClientRect().top;
    const first = Math.floor(-top / this.height) - beyond;
    const end = Math.ceil((innerHeight - top) / this.height) + beyond;
    const clamp = (index) => Math.min(Math.max(index, 0), this.items.length);
    return [clamp(first), clamp(end)];
  }

  /** The items in sight. */
  seen() {
    return this.items.slice(...this.range());
  }

  render() {
    if (!this.host.isConnected) return;
    this.height = parseFloat(getComputedStyle(this.host).getPropertyValue("--row")) || 36;
    const total = `${this.items.length * this.height}px`;
    if (this.host.style.height !== total) this.host.style.height = total;
    const [first, end] = this.range(BEYOND);
    const wanted = new Map();
    for (let index = first; index < end; index += 1) wanted.set(this.keyOf(this.items[index]), index);

    // The row with the focus stays though it is out of sight, or the focus would be lost with it.
    const focused = this.host.contains(document.activeElement) ? document.activeElement : null;
    const kept = focused ? this.#keyAt(focused) : null;
    if (kept !== null && !wanted.has(kept)) {
      const index = this.items.findIndex((item) => this.keyOf(item) === kept);
      if (index >= 0) wanted.set(kept, index);
    }
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      this.rows.delete(key);
      this.spare.push(row);
    }
    for (const [key, index] of wanted) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.spare.pop() ?? this.make();
        this.rows.set(key, row);
      }
      row.key = key;
      row.index = index;
      row.show(this.items[index]);
      setAttribute(row.root, "aria-rowindex", index + 2); // the headings are row 1
      const place = `translateY(${index * this.height}px)`;
      if (row.root.style.transform !== place) row.root.style.transform = place;
    }
    this.#order(focused);
    this.#tabStop();
  }

  // Elements stand in the order of the rows, which is the order that Tab and screen readers take.
  #order(focused) {
    const rows = [...this.rows.values()].sort((a, b) => a.index - b.index);
    let at = this.host.firstElementChild;
    for (const { root } of rows) {
      if (root === at) at = at.nextElementSibling;
      else this.host.insertBefore(root, at);
    }
    for (const row of this.spare) row.root.remove();
    this.spare.length = Math.min(this.spare.length, 80);
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  #keyAt(node) {
    for (const [key, row] of this.rows) if (row.root.contains(node)) return key;
    return null;
  }

  #tabStop() {
    const [first] = this.range();
    const stop = this.rows.has(this.tabbed) ? this.tabbed : this.#keyOfIndex(first);
    for (const [key, row] of this.rows) {
      if (row.button) setAttribute(row.button, "tabindex", key === stop ? "0" : "-1");
    }
  }

  #keyOfIndex(index) {
    return index < this.items.length ? this.keyOf(this.items[index]) : null;
  }

  #key(event) {
    const key = this.#keyAt(event.target);
    if (key === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 6);
    const last = this.items.length - 1;
    const from = this.rows.get(key).index;
    const targets = {
      ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: last,
    };
    if (!(event.key in targets)) return;
    event.preventDefault();
    this.goTo(Math.min(Math.max(targets[event.key], 0), last));
  }

  /** Brings a row into sight and the focus to its button. */
  goTo(index) {
    const under = this.host.previousElementSibling?.getBoundingClientRect().bottom ?? 0; // the headings stick
    const top = this.host.getBoundingClientRect().top + index * this.height;
    if (top < Math.max(under, 0)) scrollBy({ top: top - Math.max(under, 0), behavior: "instant" });
    else if (top + this.height > innerHeight) scrollBy({ top: top + this.height - innerHeight + 8, behavior: "instant" });
    this.tabbed = this.#keyOfIndex(index);
    this.render();
    this.rows.get(this.tabbed)?.button?.focus({ preventScroll: true });
  }
}
