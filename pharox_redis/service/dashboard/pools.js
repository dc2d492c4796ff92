// The first page: the sum of all pools, and a row for each.

import { el, setAttribute, setText } from "./dom.js";
import { Availability, Band, METRICS, Metric } from "./gauges.js";
import { count, plural } from "./format.js";
import { panel } from "./notices.js";
import { Headings, natural, sortBy } from "./sorting.js";

const MANY = 8; // pools from which on there is a filter

const COLUMNS = [
  { name: "pool", label: "Pool", key: (row) => natural(row.figures.pool.name) },
  {
    name: "availability",
    label: "Availability",
    key: ({ figures: f }) => (f.total_proxies ? f.available_proxies / f.total_proxies : null),
  },
  { name: "leases", label: "Leases", key: (row) => row.figures.total_leases, first: "descending" },
  { name: "acquired", label: "Acquires / s", key: (row) => row.history.rate("acquired"), first: "descending" },
  { name: "missed", label: "Misses / s", key: (row) => row.history.rate("missed"), first: "descending" },
];

/** One pool's row; it is made once and changed in place. */
class Row {
  constructor(id) {
    this.name = el("a", { href: `#/pools/${encodeURIComponent(id)}` });
    this.tag = el("span", { class: "tag", hidden: true });
    this.note = el("p", { class: "note" });
    this.availability = new Availability();
    this.metrics = METRICS.map((name) => new Metric(name));
    this.root = el(
      "div",
      { class: "row ledger", role: "row" },
      el("div", { class: "what", role: "rowheader" }, el("div", { class: "name" }, this.name, this.tag), this.note),
      el("div", { class: "share", role: "cell" }, this.availability.root),
      ...this.metrics.map((metric) => el("div", { role: "cell" }, metric.root)),
    );
  }

  show({ figures, history }) {
    this.figures = figures;
    this.history = history;
    setText(this.name, figures.pool.name);
    setAttribute(this.name, "title", figures.pool.name.length > 30 ? figures.pool.name : null);
    setText(this.note, figures.pool.description || "");
    const tag = figures.total_proxies === 0 ? "empty" : figures.available_proxies === 0 ? "nothing free" : "";
    this.tag.hidden = !tag;
    setText(this.tag, tag);
    setAttribute(this.tag, "data-kind", tag === "empty" ? "empty" : "exhausted");
    this.availability.show(figures);
    for (const metric of this.metrics) metric.show(figures, history);
  }
}

export class PoolsPage {
  constructor(app) {
    this.app = app;
    this.title = "Pools";
    this.rows = new Map();
    this.heading = el("h1", { tabindex: "-1" }, "All pools");
    this.count = el("p", { class: "note" });
    this.band = new Band(this.heading, this.count);
    this.headings = new Headings(COLUMNS, () => this.arrange(), { name: "pool" });
    this.filter = el("input", { type: "search", id: "pool-filter", placeholder: "Name or description", on: { input: () => this.arrange() } });
    this.tools = el("div", { class: "tools", hidden: true }, el("label", { for: "pool-filter" }, "Filter"), this.filter);
    this.headings.root.classList.add("ledger");
    this.body = el("div", { role: "rowgroup" });
    this.table = el(
      "div",
      { class: "pools", role: "table", "aria-label": "Pools" },
      el("div", { class: "sticky", role: "rowgroup" }, this.headings.root),
      this.body,
    );
    this.none = el("p", { class: "nothing", hidden: true }, "No pool matches the filter.");
    this.instead = el("div", {});
    this.root = el("div", {}, this.band.root, this.tools, this.table, this.none, this.instead);
    this.state = null;
  }

  start() {}
  stop() {}

  update() {
    const { fleet } = this.app;
    const state = fleet.readings === 0 ? "waiting" : fleet.pools.size === 0 ? "empty" : "pools";
    if (state !== this.state) this.#switch(state);
    if (state !== "pools") return;
    this.band.show(fleet.total.figures, fleet.total.history);
    this.tools.hidden = fleet.pools.size < MANY;
    for (const [id, row] of this.rows) {
      if (!fleet.pools.has(id)) {
        row.root.remove();
        this.rows.delete(id);
      }
    }
    let more = false;
    for (const [id, entry] of fleet.pools) {
      let row = this.rows.get(id);
      if (!row) {
        row = new Row(id);
        this.rows.set(id, row);
        more = true;
      }
      row.show(entry);
    }
    // Rows that change places under the pointer are hard to hit: only names stay where they are.
    const held = this.body.matches(":hover, :focus-within");
    if (more || !held) this.arrange();
  }

  /** Puts the rows that match the filter in order. */
  arrange() {
    const wanted = this.filter.value.trim().toLowerCase();
    const rows = [...this.rows.values()].filter(({ figures: { pool } }) =>
      `${pool.name}\n${pool.description ?? ""}`.toLowerCase().includes(wanted),
    );
    sortBy(rows, COLUMNS[0].key, false);
    if (this.headings.name !== "pool" || this.headings.descending) {
      sortBy(rows, this.headings.key, this.headings.descending);
    }
    if (rows.some((row, index) => this.body.children[index] !== row.root) || rows.length !== this.body.children.length) {
      this.body.replaceChildren(...rows.map((row) => row.root));
    }
    this.none.hidden = rows.length > 0;
    setText(this.count, wanted ? `${count(rows.length)} of ${plural(this.rows.size, "pool")} shown` : plural(this.rows.size, "pool"));
  }

  #switch(state) {
    this.state = state;
    this.band.root.hidden = this.table.hidden = state !== "pools";
    if (state !== "pools") this.tools.hidden = this.none.hidden = true;
    const panels = {
      pools: () => [],
      waiting: () => [panel("Waiting for the first figures", "They come every second once the service answers.")],
      empty: () => [
        panel(
          "No pools yet",
          "A pool is a set of proxies that scrapers lease from. Make one and fill it, from a terminal:",
          el("pre", {}, "pharox-redis pool create latam\npharox-redis import proxies.csv --pool latam"),
          el("p", {}, "or over HTTP with ", el("code", {}, "POST /v1/pools/"), ". It shows here within a second."),
        ),
      ],
    };
    this.instead.replaceChildren(...panels[state]());
  }
}
