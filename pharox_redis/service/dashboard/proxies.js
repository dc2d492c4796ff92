// The proxies of a pool: filters, a sortable list, and for an administrator a button in each row.

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { ago, count, countryName, latency, plural } from "./format.js";
import { Loop } from "./loop.js";
import { ask, toast } from "./notices.js";
import { Headings, sortBy } from "./sorting.js";
import { ProxyStore, select } from "./store.js";
import { VirtualRows } from "./virtual.js";

const STATUSES = ["active", "slow", "inactive", "banned"];

// Load as a part of the limit; proxies without a limit come after those that have one.
const load = ({ proxy: { current_leases: leases, max_concurrency: limit } }) =>
  limit ? leases / limit + leases / 1e6 : leases / 1e9;

const COLUMNS = [
  { name: "address", label: "Address", key: (r) => r.sortAddress },
  { name: "protocol", label: "Protocol", key: (r) => r.proxy.protocol },
  { name: "status", label: "Status", key: (r) => STATUSES.indexOf(r.proxy.status) },
  { name: "load", label: "Load / limit", key: load, first: "descending", moves: true },
  { name: "latency", label: "Latency", key: (r) => r.proxy.latency_ms, moves: true },
  { name: "country", label: "Country", key: (r) => r.proxy.country },
  { name: "checked", label: "Checked", key: (r) => r.checked, first: "descending", moves: true },
];
const ACTIONS = { name: "action", label: "Action" };

class Row {
  constructor(view) {
    this.address = el("span", { class: "mono" });
    this.protocol = el("span");
    this.status = el("span", { class: "status" });
    this.meter = el("i", { class: "fill" });
    this.load = el("span", { class: "numbers" });
    this.latency = el("span");
    this.code = el("span");
    this.country = el("span", { class: "more" });
    this.checked = el("span");
    const cell = (name, ...children) => el("div", { class: `c-${name}`, role: "cell" }, ...children);
    const cells = [
      cell("address", this.address),
      cell("protocol", this.protocol),
      cell("status", this.status),
      cell("load", this.load, el("span", { class: "meter", "aria-hidden": "true" }, this.meter)),
      cell("latency", this.latency),
      cell("country", this.code, this.country),
      cell("checked", this.checked),
    ];
    if (view.app.may("admin")) {
      this.button = el("button", { type: "button", class: "small", on: { click: () => view.change(this.record) } });
      cells.push(cell("action", this.button));
    }
    this.view = view;
    this.root = el("div", { class: "row", role: "row" }, ...cells);
  }

  show(record) {
    this.record = record;
    const { proxy } = record;
    const limit = proxy.max_concurrency;
    setText(this.address, record.address);
    setAttribute(this.address, "title", record.address.length > 24 ? record.address : null);
    setText(this.protocol, proxy.protocol);
    setText(this.status, proxy.status);
    setAttribute(this.status, "data-status", proxy.status);
    setText(this.load, `${count(proxy.current_leases)} / ${limit ? count(limit) : "∞"}`);
    const part = limit ? Math.min(1, proxy.current_leases / limit) : 0;
    const width = `${Math.round(part * 100)}%`;
    if (this.meter.style.width !== width) this.meter.style.width = width;
    setAttribute(this.root, "data-full", part === 1);
    setAttribute(this.root, "data-idle", proxy.current_leases === 0);
    setText(this.latency, latency(proxy.latency_ms));
    setText(this.code, proxy.country || "–");
    setText(this.country, countryName(proxy.country));
    const seconds = record.checked ? (this.view.app.fleet.now() - record.checked) / 1000 : NaN;
    setText(this.checked, ago(seconds));
    if (this.button) {
      const banned = proxy.status === "banned";
      setText(this.button, banned ? "Unban" : "Ban");
      setAttribute(this.button, "aria-label", `${banned ? "Unban" : "Ban"} ${record.address}`);
    }
  }
}

export class ProxiesView {
  constructor(app, pool) {
    this.app = app;
    this.pool = pool;
    this.store = new ProxyStore(pool);
    this.sorted = [];
    this.countries = "";
    this.#build();
    this.loop = new Loop((signal) => this.#read(signal), 1500, 30_000);
  }

  #build() {
    const changed = () => this.arrange(true);
    const option = (value, text = value) => el("option", { value }, text);
    this.text = el("input", { type: "search", id: "filter-text", placeholder: "Address, city, ISP, source", on: { input: changed } });
    this.status = el("select", { id: "filter-status", on: { change: changed } }, option("", "Any"), ...STATUSES.map((s) => option(s)));
    this.country = el("select", { id: "filter-country", on: { change: changed } }, option("", "Any"));
    this.leased = el("input", { type: "checkbox", id: "filter-leased", on: { change: changed } });
    this.shown = el("p", { class: "shown", role: "status" });
    const field = (label, input) => el("div", { class: "field" }, el("label", { for: input.id }, label), input);
    const tools = el(
      "div",
      { class: "tools", role: "search", "aria-label": "Filter proxies" },
      field("Find", this.text),
      field("Status", this.status),
      field("Country", this.country),
      el("div", { class: "field check" }, this.leased, el("label", { for: "filter-leased" }, "Leased only")),
      this.shown,
    );
    const columns = this.app.may("admin") ? [...COLUMNS, ACTIONS] : COLUMNS;
    this.headings = new Headings(columns, changed);
    this.host = el("div", { class: "rows", role: "rowgroup" });
    this.rows = new VirtualRows(this.host, () => new Row(this), (record) => record.id);
    this.table = el(
      "div",
      { class: "list proxies", role: "table", "aria-label": "Proxies" },
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

  /** Once a second: what changes by itself with the time. */
  tick() {
    this.rows.render();
  }

  async #read(signal) {
    try {
      do {
        await this.store.step(this.rows.seen(), signal);
        if (signal.aborted) return;
        this.arrange(false);
      } while (!this.store.complete);
    } catch (error) {
      if (!signal.aborted) this.app.failed(error);
    }
  }

  /** Filters and sorts anew; while the pointer is in the list, a refresh moves no row away. */
  arrange(asked) {
    const { store, headings } = this;
    const filter = {
      text: this.text.value.trim(), status: this.status.value, country: this.country.value, leased: this.leased.checked,
    };
    const moves = headings.columns.find((column) => column.name === headings.name)?.moves;
    const filtered = filter.status !== "" || filter.leased;
    if (!asked && store.complete && (moves || filtered) && this.host.matches(":hover, :focus-within")) {
      this.sorted = this.sorted.filter((record) => store.records.has(record.id));
    } else {
      const records = store.list();
      if (records.length) this.#listCountries(records);
      this.sorted = select(records, filter);
      if (headings.key) sortBy(this.sorted, headings.key, headings.descending);
    }
    this.rows.show(this.sorted);
    this.#say(filter);
  }

  #say(filter) {
    const { store } = this;
    const total = this.app.fleet.pools.get(this.pool)?.figures.total_proxies ?? store.records.size;
    const narrowed = Object.values(filter).some(Boolean);
    let text = plural(store.records.size, "proxy", "proxies");
    if (narrowed) text = `${count(this.sorted.length)} of ${text}`;
    if (!store.complete) text = `${text}, loading ${count(total)}`;
    if (store.cut) text = `${text}: the first of ${count(total)}`;
    setText(this.shown, text);
    setAttribute(this.table, "aria-rowcount", this.sorted.length + 1);
    const empty = store.complete && this.sorted.length === 0;
    this.table.hidden = empty;
    this.note.hidden = !empty;
    setText(
      this.note,
      narrowed
        ? "No proxy matches the filter."
        : "No proxies in this pool yet. Fill it with `pharox-redis import FILE --pool NAME`, or POST them to the service.",
    );
  }

  #listCountries(records) {
    const codes = [...new Set(records.map(({ proxy }) => proxy.country || ""))].sort();
    if (codes.join("\n") === this.countries) return;
    this.countries = codes.join("\n");
    const chosen = this.country.value;
    const options = codes.map((code) =>
      el("option", { value: code || "none" }, code ? [code, countryName(code)].filter(Boolean).join(" · ") : "without a country"),
    );
    this.country.replaceChildren(el("option", { value: "" }, "Any"), ...options);
    this.country.value = [...this.country.options].some((o) => o.value === chosen) ? chosen : "";
  }

  /** Bans a proxy, after a question, or takes the ban back. */
  async change(record) {
    const { proxy, address } = record;
    const ban = proxy.status !== "banned";
    const held = proxy.current_leases;
    const going = held ? ` The ${plural(held, "lease")} it has ${held === 1 ? "goes" : "go"} on until released or expired.` : "";
    if (ban && !(await ask(`Ban ${address}?`, `It will not be leased again until it is unbanned.${going}`, "Ban"))) return;
    try {
      this.store.update(await api.setStatus(this.pool, proxy.id, ban ? "banned" : "active"));
      toast(ban ? `${address} is banned.` : `${address} is active again.`);
      this.rows.render();
      this.app.soon();
    } catch (error) {
      this.app.failed(error, `${address} is as it was`);
    }
  }
}
