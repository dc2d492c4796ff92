// The dashboard: who is looking, which page is open, and the reading of the overview once a second
// that all pages live on. A page is {title, root, heading, start(), stop(), update()}.
//
//   #/                      all pools
//   #/pools/<id>            a pool and its proxies
//   #/pools/<id>/leases     a pool and its leases

import * as api from "./api.js";
import { byId, setAttribute, setText } from "./dom.js";
import { Fleet } from "./fleet.js";
import { clock } from "./format.js";
import { LoginPage } from "./login.js";
import { Loop } from "./loop.js";
import { banner, panel, toast } from "./notices.js";
import { PoolPage } from "./pool.js";
import { PoolsPage } from "./pools.js";

const EVERY = 1000; // ms between readings
const AWAY = 2000; // the same while there is no answer
const HIDDEN = 15_000; // and while nobody looks

class App {
  constructor() {
    this.fleet = new Fleet();
    this.who = null; // {name, role}
    this.page = null;
    this.away = null; // {since, detail, retry} while there are no answers
    this.loop = new Loop((signal) => this.#read(signal), () => (this.away ? Math.max(AWAY, this.away.retry) : EVERY), HIDDEN);
    addEventListener("hashchange", () => this.#route());
    byId("forget").addEventListener("click", () => this.#leave(""));
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault(); // the fragment is the route
      byId("main").focus();
    });
  }

  /** True if the key in use has the role. */
  may(role) {
    const roles = ["read", "lease", "admin"];
    return roles.indexOf(this.who?.role) >= roles.indexOf(role);
  }

  /** Finds out whether there is a key, or none is needed. */
  async begin() {
    try {
      this.#enter(await api.whoami());
    } catch (error) {
      if (error.status === 401) {
        this.#leave(api.storedKey.get() ? "The service no longer knows the key of this tab." : "");
        return;
      }
      if (error.status === 403) {
        this.#refused(error);
        return;
      }
      this.#lost(error);
      if (!this.page) this.#open({ ...still("Connecting", "Trying every two seconds."), title: "Connecting" });
      setTimeout(() => this.begin(), AWAY);
    }
  }

  /** Reads the overview now: something has changed. */
  soon() {
    this.loop.soon();
  }

  /** What to do about a request that failed; `kept` says what did not happen by it. */
  failed(error, kept = "") {
    if (error.status === 401) this.#leave("The service no longer knows this key.");
    else if (kept) toast(`${kept}: ${error.message}`, { failed: true });
    else if (error.status === 403) this.#refused(error);
    else if (error.status === undefined) throw error; // not of the service: a mistake here
    else if (!error.passes) this.loop.soon(); // gone, perhaps: the overview knows
    // No answer, or not now: the reading of the overview says so, and each loop tries again.
  }

  #enter(who) {
    this.who = who;
    const node = byId("who");
    setText(node.children[0], who.name);
    setText(node.children[1], who.role);
    node.hidden = false;
    byId("forget").hidden = api.storedKey.get() === null;
    this.#found();
    this.#route();
    this.loop.start();
  }

  #leave(reason) {
    this.loop.stop();
    api.storedKey.forget();
    this.who = null;
    this.fleet = new Fleet();
    byId("who").hidden = byId("forget").hidden = true;
    this.#found();
    this.#state("locked", "no key");
    this.#open(new LoginPage(reason, (who) => this.#enter(who)));
  }

  #refused(error) {
    this.loop.stop();
    this.#open({ ...still("Not allowed", error.message), title: "Not allowed" });
  }

  async #read(signal) {
    try {
      this.fleet.take(await api.overview(signal));
      if (signal.aborted) return;
      this.#found();
      this.#state("live", "live", `Read at ${clock(this.fleet.now())}, the server's time`);
      this.page.update();
      this.#name();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof api.Problem && error.passes) this.#lost(error);
      this.failed(error);
    }
  }

  #lost(error) {
    this.away ??= { since: clock(Date.now()) };
    this.away.retry = Math.min(error.retryAfter * 1000, 30_000);
    const stale = this.fleet.readings ? " What is shown is the last that was read." : "";
    banner(`Since ${this.away.since}: ${error.message}${stale} The page goes on by itself.`);
    this.#state("away", "no answer");
    setAttribute(byId("main"), "data-stale", this.fleet.readings > 0);
  }

  #found() {
    if (!this.away) return;
    this.away = null;
    banner(null);
    setAttribute(byId("main"), "data-stale", false);
  }

  #state(state, text, title = null) {
    const node = byId("link");
    setAttribute(node, "data-state", state);
    setAttribute(node, "title", title);
    setText(node.children[1], text);
  }

  #route() {
    if (!this.who) return;
    const match = /^#\/pools\/([^/]+)(\/leases)?$/.exec(location.hash);
    if (!match) {
      if (!(this.page instanceof PoolsPage)) this.#open(new PoolsPage(this));
      return;
    }
    const id = decoded(match[1]);
    const before = this.page;
    if (!(before instanceof PoolPage && before.id === id)) this.#open(new PoolPage(this, id));
    this.page.choose(match[2] ? "leases" : "proxies");
  }

  #open(page) {
    const first = this.page === null;
    this.page?.stop();
    this.page = page;
    byId("main").replaceChildren(page.root);
    scrollTo(0, 0);
    page.update();
    page.start();
    // A reader of the screen hears where it is; on the first page it begins at the top by itself.
    if (!first && !byId("main").contains(document.activeElement)) page.heading?.focus({ preventScroll: true });
    this.#name();
  }

  #name() {
    const here = byId("here");
    const inPool = this.page instanceof PoolPage;
    here.hidden = !inPool;
    setText(here, inPool ? this.page.title : "");
    const title = `${this.page.title} · pharox-redis`;
    if (document.title !== title) document.title = title;
  }
}

/** A page of one message. */
function still(title, text) {
  return { root: panel(title, text), start() {}, stop() {}, update() {} };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // %-signs that encode nothing: no such pool, then
  }
}

new App().begin();
