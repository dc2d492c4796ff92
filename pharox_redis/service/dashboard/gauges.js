// The cells that a pool's row, the sum of all pools and the head of a pool's page have in common:
// the availability bar, and a number with its sparkline.

import { el, setAttribute, setText } from "./dom.js";
import { count, percent, plural, rate } from "./format.js";
import { Spark } from "./spark.js";

/** Available, saturated and inactive proxies, as parts of all. */
export class Availability {
  constructor() {
    this.parts = ["ok", "full", "off"].map((kind) => el("i", { class: kind }));
    this.bar = el("div", { class: "parts", role: "img" }, ...this.parts);
    this.numbers = ["available", "saturated", "inactive"].map((name, index) => {
      const value = el("b");
      const item = el("li", { class: ["ok", "full", "off"][index] }, value, ` ${name}`);
      return { value, item };
    });
    this.legend = el("ul", { class: "legend" }, ...this.numbers.map(({ item }) => item));
    this.root = el("div", { class: "availability" }, this.bar, this.legend);
  }

  show(figures) {
    const total = figures.total_proxies;
    const counts = [
      figures.available_proxies,
      figures.saturated_proxies,
      Math.max(0, total - figures.available_proxies - figures.saturated_proxies),
    ];
    counts.forEach((number, index) => {
      const part = this.parts[index];
      part.hidden = number === 0;
      const grow = String(number);
      if (part.style.flexGrow !== grow) part.style.flexGrow = grow;
      setText(this.numbers[index].value, count(number));
      setAttribute(this.numbers[index].item, "data-zero", number === 0);
    });
    setAttribute(
      this.bar,
      "aria-label",
      total
        ? `${percent(counts[0], total)} of ${count(total)} proxies available`
        : "no proxies",
    );
  }
}

const WORDS = {
  leases: { label: "Leases", unit: "leases" },
  acquired: { label: "Acquires / s", unit: "acquires a second" },
  missed: { label: "Misses / s", unit: "misses a second" },
};

/** Leases, or acquires or misses a second: the number now, and two minutes of it. */
export class Metric {
  constructor(name, { peak = false } = {}) {
    this.name = name;
    this.value = el("b", { class: "value" });
    this.spark = new Spark(name);
    this.peak = peak ? el("span", { class: "peak" }) : null;
    this.root = el(
      "div",
      { class: `metric ${name}` },
      el("span", { class: "label" }, WORDS[name].label),
      this.value,
      this.spark.root,
      ...(this.peak ? [this.peak] : []),
    );
  }

  show(figures, history) {
    const { unit } = WORDS[this.name];
    const now = this.name === "leases" ? figures.total_leases : history.rate(this.name);
    const text = this.name === "leases" ? count(now) : rate(now);
    setText(this.value, text);
    setAttribute(this.root, "data-some", this.name === "missed" && now > 0.05);
    const highest = this.spark.draw(
      history.curve(this.name),
      (most) => `${unit}, the last two minutes: ${text} now, ${this.#text(most)} at most`,
    );
    if (this.peak) setText(this.peak, `peak ${this.#text(highest)}`);
  }

  #text(value) {
    return this.name === "leases" ? count(value) : rate(value);
  }
}

export const METRICS = ["leases", "acquired", "missed"];

/** The band at the top of a page: what it is about, its availability and its metrics. */
export class Band {
  constructor(heading, note) {
    this.availability = new Availability();
    this.metrics = METRICS.map((name) => new Metric(name, { peak: true }));
    this.share = el("b", { class: "value" });
    this.of = el("span", { class: "peak" });
    this.root = el(
      "section",
      { class: "band ledger", "aria-label": "Totals" },
      el("div", { class: "what" }, heading, note),
      el(
        "div",
        { class: "metric share" },
        el("span", { class: "label" }, "Available"),
        this.share,
        this.of,
        this.availability.root,
      ),
      ...this.metrics.map((metric) => metric.root),
    );
  }

  show(figures, history) {
    setText(this.share, percent(figures.available_proxies, figures.total_proxies));
    setText(this.of, figures.total_proxies ? `of ${plural(figures.total_proxies, "proxy", "proxies")}` : "no proxies");
    this.availability.show(figures);
    for (const metric of this.metrics) metric.show(figures, history);
  }
}
