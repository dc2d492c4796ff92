// The proxies of a pool, read by pages of a thousand and kept up to date page by page: a turn reads
// one page again, so a big pool costs no more a turn than a small one. Every other turn it is the
// page that most of the rows in sight are from; between, the one that was not read for longest.
//
// A page begins after a cursor, the last proxy of the page before. When proxies go, those of the
// next page move up: a proxy belongs to the page that it was last read with.

import * as api from "./api.js";
import { address } from "./format.js";
import { natural } from "./sorting.js";

const MOST = 50; // pages; beyond, a browser is the wrong tool

export class ProxyStore {
  constructor(pool) {
    this.pool = pool;
    this.records = new Map(); // proxy id -> record
    this.cursors = [""]; // where each page begins
    this.read = []; // turn in which each page was last read
    this.turn = 0;
    this.complete = false;
    this.cut = false; // there are more than MOST pages
  }

  /** Reads the next page of the first round, or one page again; `seen` are records in sight. Throws `Problem`. */
  async step(seen, signal) {
    this.turn += 1;
    const page = this.complete ? this.#choose(seen) : this.read.length;
    try {
      const { data, next } = await api.proxies(this.pool, this.cursors[page], signal);
      this.#take(page, data, next);
    } catch (error) {
      if (error.status !== 422) throw error;
      this.#restart(); // the cursor is none any more
    }
  }

  /** All records, in the order of the service. */
  list() {
    return [...this.records.values()].sort((a, b) => a.page - b.page || a.index - b.index);
  }

  /** Takes in a proxy that the service sent by itself, after a change. */
  update(proxy) {
    const record = this.records.get(proxy.id);
    if (record) this.#set(record, proxy);
  }

  #choose(seen) {
    const oldest = this.read.indexOf(Math.min(...this.read));
    if (this.turn % 2 || !seen.length) return oldest;
    const votes = new Map();
    for (const { page } of seen) votes.set(page, (votes.get(page) ?? 0) + 1);
    return [...votes].sort((a, b) => b[1] - a[1])[0][0];
  }

  #take(page, proxies, next) {
    const present = new Set(proxies.map((proxy) => proxy.id));
    for (const [id, record] of this.records) {
      if (record.page === page && !present.has(id)) this.records.delete(id);
    }
    proxies.forEach((proxy, index) => {
      let record = this.records.get(proxy.id);
      if (!record) {
        record = { id: proxy.id };
        this.records.set(proxy.id, record);
      }
      record.page = page;
      record.index = index;
      this.#set(record, proxy);
    });
    this.read[page] = this.turn;
    if (next) {
      this.cut = page + 1 >= MOST;
      if (this.cut) this.complete = true;
      else this.cursors[page + 1] = next;
      // A page that is new is due next.
      if (this.complete && !this.cut && page + 1 === this.read.length) this.read.push(-1);
      return;
    }
    this.cut = false;
    this.complete = true;
    this.#forgetFrom(page + 1);
  }

  #restart() {
    this.cursors = [""];
    this.read = [];
    this.complete = this.cut = false;
  }

  #forgetFrom(page) {
    if (this.cursors.length <= page) return;
    this.cursors.length = page;
    this.read.length = Math.min(this.read.length, page);
    for (const [id, record] of this.records) if (record.page >= page) this.records.delete(id);
  }

  #set(record, proxy) {
    record.proxy = proxy;
    const shown = address(proxy);
    if (record.address !== shown) {
      record.address = shown;
      record.sortAddress = natural(shown);
    }
    record.text = [shown, proxy.protocol, proxy.city, proxy.isp, proxy.source, proxy.asn && `AS${proxy.asn}`]
      .filter(Boolean)
      .join("\n")
      .toLowerCase();
    record.checked = proxy.checked_at ? Date.parse(proxy.checked_at) : null;
  }
}

const MATCHES = {
  text: ({ text }, wanted) => text.includes(wanted.toLowerCase()),
  status: ({ proxy }, wanted) => proxy.status === wanted,
  country: ({ proxy }, wanted) => (proxy.country ?? "") === (wanted === "none" ? "" : wanted),
  leased: ({ proxy }, wanted) => !wanted || proxy.current_leases > 0,
};

/** The records that match all of the filter's fields; an empty field matches all. */
export function select(records, filter) {
  const tests = Object.entries(filter).filter(([, wanted]) => wanted !== "" && wanted !== false);
  return records.filter((record) => tests.every(([field, wanted]) => MATCHES[field](record, wanted)));
}
