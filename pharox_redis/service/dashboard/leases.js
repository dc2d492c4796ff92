// The active leases of a pool: who holds which proxy, since when, and how long it will last. The
// service lists a lease with its proxy's id; addresses are looked up among the pool's proxies, of
// which as many pages are read as that takes.

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { Loop } from "./loop.js";
import { ask, toast } from "./notices.js";
import { Headings, natural, sortBy } from "./sorting.js";
import { VirtualRows } from "./virtual.js";

const COLUMNS = [
  { name: "holder", label: "Holder", key: (r) => r.sortHolder },
  { name: "proxy", label: "Proxy", key: (r) => r.sortProxy },
  { name: "held", label: "Held for", key: (r) => -r.since, first: "descending" },
  { name: "left", label: "Time left", key: (r) => r.until },
];
const ACTIONS = { name: "action", label: "Action" };

class Row {
  constructor(view) {
    this.holder = el("span", { class: "holder" });
    this.proxy = el("span", { class: "mono" });
    this.held = el("span");
    this.left = el("span", { class: "numbers" });
    this.meter = el("i", { class: "fill" });
    const cell = (name, ...children) => el("div", { class: `c-${name}`, role: "cell" }, ...children);
    const cells = [
      cell("holder", this.holder),
      cell("proxy", this.proxy),
      cell("held", this.held),
      cell("left", this.left, el("span", { class: "meter", "aria-hidden": "true" }, this.meter)),
    ];
    if (view.app.may("admin")) {
      this.button = el("button", { type: "button", class: "small", on: { click: () => view.release(this.record) } }, "Release");
      cells.push(cell("action", this.button));
    }
    this.view = view;
    this.root = el("div", { class: "row", role: "row" }, ...cells);
  }

  show(record) {
    this.record = record;
    const now = this.view.app.fleet.now();
    const left = (record.until - now) / 1000;
    const whole = (record.until - record.since) / 1000;
    setText(this.holder, record.holder);
    setAttribute(this.holder, "title", record.holder.length > 30 ? record.holder : null);
    setText(this.proxy, record.address);
    setAttribute(this.proxy, "title", record.address.length > 24 ? record.address : null);
    setText(this.held, duration((now - record.since) / 1000));
    setText(this.left, left > 0 ? duration(Math.ceil(left)) : "ending");
    const width = `${Math.round(100 * Math.min(1, Math.max(0, left / whole)))}%`;
    if (this.meter.style.width !== width) this.meter.style.width = width;
    setAttribute(this.root, "data-soon", left < 10);
    setAttribute(this.root, "data-ended", left <= 0);
    if (this.button) setAttribute(this.button, "aria-label", `Release the lease of ${record.holder} on ${record.address}`);
  }
}

export class LeasesView {
  constructor(app, pool, store) {
    this.app = app;
    this.pool = pool;
    this.store = store; // the pool's proxies, as the view beside has them
    this.records = new Map();
    this.gone = new Set(); // released here: a page that was under way may still have them
    this.pages = 1;
    this.more = false;
    this.known = false;
    this.sorted = [];
    this.#build();
    this.loop = new Loop((signal) => this.#read(signal), 2000, 30_000);
  }

  #build() {
    const changed = () => this.arrange(true);
    this.text = el("input", { type: "search", id: "filter-leases", placeholder: "Holder or proxy", on: { input: changed } });
    this.shown = el("p", { class: "shown", role: "status" });
    this.next = el("button", { type: "button", class: "small", hidden: true, on: { click: () => this.#loadMore() } }, "Load 1,000 more");
    const tools = el(
      "div",
      { class: "tools", role: "search", "aria-label": "Filter leases" },
      el("div", { class: "field" }, el("label", { for: "filter-leases" }, "Find"), this.text),
      this.next,
      this.shown,
    );
    const columns = this.app.may("admin") ? [...COLUMNS, ACTIONS] : COLUMNS;
    this.headings = new Headings(columns, changed, { name: "left" });
    this.host = el("div", { class: "rows", role: "rowgroup" });
    this.rows = new VirtualRows(this.host, () => new Row(this), (record) => record.id);
    this.table = el(
      "div",
      { class: "list leases", role: "table", "aria-label": "Leases" },
      el("div", { class: "sticky", role: "rowgroup" }, this.headings.root),
      this.host,
    );
    setAttribute(this.table, "data-actions", this.app.may("admin"));
    this.note = el("p", { class: "nothing", hidden: true });
    this.root = el("div", { class: "view" }, tools, this.table, this.note);
  }

  start() {
    this.rows.start();
    this.loop.start();
  }

  stop() {
    this.rows.stop();
    this.loop.stop();
  }

  /** Once a second: the time that is left. */
  tick() {
    this.rows.render();
  }

  #loadMore() {
    this.pages += 1;
    this.loop.soon();
  }

  async #read(signal) {
    const records = new Map();
    try {
      let after = "";
      for (let page = 0; page < this.pages; page += 1) {
        const { data, next } = await api.leases(this.pool, after, signal);
        for (const lease of data) records.set(lease.id, this.#record(lease));
        after = next;
        if (!next) break;
      }
      if (signal.aborted) return;
      for (const id of this.gone) if (!records.delete(id)) this.gone.delete(id);
      this.records = records;
      this.more = after !== "";
      this.known = true;
      this.arrange(false);
      while (this.#unnamed()) {
        const more = !this.store.complete;
        await this.store.step([], signal);
        if (signal.aborted) return;
        for (const record of this.records.values()) this.#name(record);
        this.arrange(false);
        if (!more) break; // proxies that are new: a page a turn finds them
      }
    } catch (error) {
      if (!signal.aborted) this.app.failed(error);
    }
  }

  #record(lease) {
    const holder = lease.consumer_name || lease.consumer_id;
    const record = {
      id: lease.id,
      holder,
      proxy: lease.proxy_id,
      sortHolder: natural(holder),
      since: Date.parse(lease.acquired_at),
      until: Date.parse(lease.expires_at),
    };
    this.#name(record);
    return record;
  }

  /** The proxy's address, or its id as long as that is all that is known. */
  #name(record) {
    const proxy = this.store.records.get(record.proxy);
    record.named = proxy !== undefined;
    record.address = proxy?.address ?? record.proxy;
    record.sortProxy = proxy?.sortAddress ?? record.proxy;
    record.text = `${record.holder}\n${record.address}`.toLowerCase();
  }

  #unnamed() {
    return !this.store.cut && [...this.records.values()].some(({ named }) => !named);
  }

  /** Filters and sorts anew; while the pointer is in the list, a refresh moves no row away. */
  arrange(asked) {
    const wanted = this.text.value.trim().toLowerCase();
    if (!asked && this.sorted.length && this.host.matches(":hover, :focus-within")) {
      const known = new Set(this.sorted.map(({ id }) => id));
      const kept = this.sorted.filter(({ id }) => this.records.has(id)).map(({ id }) => this.records.get(id));
      this.sorted = kept.concat([...this.records.values()].filter((r) => !known.has(r.id) && r.text.includes(wanted)));
    } else {
      this.sorted = [...this.records.values()].filter((record) => record.text.includes(wanted));
      sortBy(this.sorted, this.headings.key, this.headings.descending);
    }
    this.rows.show(this.sorted);
    this.next.hidden = !this.more;
    const total = this.app.fleet.pools.get(this.pool)?.figures.total_leases ?? this.records.size;
    const all = plural(this.records.size, "lease");
    const text = wanted ? `${count(this.sorted.length)} of ${all}` : all;
    setText(this.shown, this.more ? `${text}: the soonest to end of ${count(total)}` : text);
    setAttribute(this.table, "aria-rowcount", this.sorted.length + 1);
    const empty = this.known && this.sorted.length === 0;
    this.table.hidden = empty;
    this.note.hidden = !empty;
    setText(this.note, wanted ? "No lease matches the filter." : "Nobody holds a proxy of this pool at the moment.");
  }

  /** Ends a lease, after a question. */
  async release(record) {
    const text = `${record.holder} is not told: it may go on using the proxy, while another gets it.`;
    if (!(await ask(`Release ${record.address}?`, text, "Release"))) return;
    try {
      await api.release(record.id);
      this.gone.add(record.id);
      this.records.delete(record.id);
      this.sorted = this.sorted.filter(({ id }) => id !== record.id);
      this.arrange(false);
      toast(`The lease of ${record.holder} on ${record.address} is released.`);
      this.app.soon();
    } catch (error) {
      this.app.failed(error, "The lease was not released");
    }
  }
}
