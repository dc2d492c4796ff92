// A pool's page: its figures on top, below them its proxies or its leases.

import { el, setAttribute, setText } from "./dom.js";
import { count, plural } from "./format.js";
import { Band } from "./gauges.js";
import { LeasesView } from "./leases.js";
import { panel } from "./notices.js";
import { ProxiesView } from "./proxies.js";

export class PoolPage {
  constructor(app, id) {
    this.app = app;
    this.id = id;
    this.title = "Pool";
    this.started = false;
    this.heading = el("h1", { tabindex: "-1" }, "…");
    this.note = el("p", { class: "note" });
    this.band = new Band(this.heading, this.note);
    this.proxies = new ProxiesView(app, id);
    this.leases = new LeasesView(app, id, this.proxies.store);
    this.view = this.proxies;
    const base = `#/pools/${encodeURIComponent(id)}`;
    this.tabs = {
      proxies: this.#tab(base, "Proxies"),
      leases: this.#tab(`${base}/leases`, "Leases"),
    };
    this.facts = el("span", { class: "facts" });
    this.nav = el("nav", { class: "tabs", "aria-label": "Of this pool" }, this.tabs.proxies.root, this.tabs.leases.root, this.facts);
    this.instead = el("div", { hidden: true });
    this.body = el("div", {}, this.nav, this.proxies.root, this.leases.root);
    this.root = el("div", {}, this.band.root, this.body, this.instead);
    this.choose("proxies");
  }

  #tab(href, label) {
    const number = el("span", { class: "number" });
    return { number, root: el("a", { href }, `${label} `, number) };
  }

  /** Shows the proxies or the leases. */
  choose(name) {
    const view = this[name];
    for (const [tab, { root }] of Object.entries(this.tabs)) setAttribute(root, "aria-current", tab === name ? "page" : null);
    this.proxies.root.hidden = view !== this.proxies;
    this.leases.root.hidden = view !== this.leases;
    if (this.started) {
      this.view.stop();
      view.start();
    }
    this.view = view;
  }

  start() {
    this.started = true;
    this.view.start();
  }

  stop() {
    this.started = false;
    this.view.stop();
  }

  update() {
    const { fleet } = this.app;
    const entry = fleet.pools.get(this.id);
    const known = Boolean(entry);
    this.band.root.hidden = this.body.hidden = !known;
    this.instead.hidden = known;
    if (!known) {
      this.title = "Pool";
      if (this.started && fleet.readings) this.stop(); // nothing to ask for
      const text = fleet.readings
        ? panel("No such pool", "It was deleted, or the address is wrong.", el("p", {}, el("a", { href: "#/" }, "All pools")))
        : panel("Waiting for the first figures", "They come every second once the service answers.");
      if (this.instead.textContent !== text.textContent) this.instead.replaceChildren(text);
      return;
    }
    if (!this.started) this.start(); // it is back
    const { figures, history } = entry;
    this.title = figures.pool.name;
    setText(this.heading, figures.pool.name);
    setText(this.note, figures.pool.description || "");
    this.band.show(figures, history);
    setText(this.tabs.proxies.number, count(figures.total_proxies));
    setText(this.tabs.leases.number, count(figures.total_leases));
    const facts = [
      `${plural(figures.leased_proxies, "proxy", "proxies")} leased`,
      `${plural(figures.reclaimed, "lease")} expired unreleased`,
      plural(figures.views, "view"),
    ];
    setText(this.facts, facts.join(" · "));
    this.view.tick();
  }
}
