// Sorting by a column, and the column headings that do it.

import { el, setAttribute } from "./dom.js";

/** Sorts in place by `key(item)`; items without a value (null, undefined, "") come last either way. */
export function sortBy(items, key, descending) {
  const sign = descending ? -1 : 1;
  const keyed = items.map((item) => [key(item), item]);
  keyed.sort(([a], [b]) => {
    const noA = a === null || a === undefined || a === "";
    const noB = b === null || b === undefined || b === "";
    if (noA || noB) return noA - noB;
    if (a === b) return 0; // the sort is stable: the order of the list decides
    return a < b ? -sign : sign;
  });
  keyed.forEach(([, item], index) => {
    items[index] = item;
  });
  return items;
}

/** A string whose plain order is the natural one: 192.0.2.9 before 192.0.2.10. */
export function natural(text) {
  return text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(5, "0"));
}

/**
 * The row of column headings. A column is {name, label, key, first}: without `key` it cannot be
 * sorted by, and `first: "descending"` says which way the first press sorts.
 */
export class Headings {
  constructor(columns, onSort, { name = null, descending = false } = {}) {
    this.columns = columns;
    this.name = name;
    this.descending = descending;
    this.onSort = onSort;
    this.cells = columns.map((column) => this.#cell(column));
    this.root = el("div", { class: "row heads", role: "row" }, ...this.cells);
    this.#show();
  }

  /** The key function in use, or null: the order in which the service lists. */
  get key() {
    return this.columns.find((column) => column.name === this.name)?.key ?? null;
  }

  #cell(column) {
    const inside = column.key
      ? el("button", { type: "button", on: { click: () => this.#press(column) } }, column.label)
      : el("span", { class: "unseen" }, column.label);
    return el("div", { class: `c-${column.name}`, role: "columnheader" }, inside);
  }

  #press(column) {
    if (this.name === column.name) this.descending = !this.descending;
    else [this.name, this.descending] = [column.name, column.first === "descending"];
    this.#show();
    this.onSort();
  }

  #show() {
    this.columns.forEach((column, index) => {
      const sorted = column.name === this.name;
      const direction = this.descending ? "descending" : "ascending";
      setAttribute(this.cells[index], "aria-sort", sorted ? direction : null);
    });
  }
}
