// What is known of the pools: the last reading of each, and two minutes of readings behind it.
// Acquires and misses are counters; a rate is the difference of two readings over the difference of
// their times, and those are the server's times, so a late reply bends no curve.

export const WINDOW = 120; // seconds that a sparkline shows
const SMOOTH = 2.5; // seconds that the number beside it looks back over
const COUNTERS = ["acquired", "missed", "reclaimed"];
const SUMS = [
  "total_proxies", "active_proxies", "available_proxies", "saturated_proxies",
  "leased_proxies", "total_leases", ...COUNTERS,
];

/** The readings of one pool, or of the sum of all. */
export class History {
  constructor() {
    this.points = []; // {at, leases, acquired, missed, perSecond: {acquired, missed} | null}
  }

  add(figures, at) {
    let last = this.points.at(-1);
    if (last && at <= last.at) return;
    if (last && COUNTERS.some((name) => figures[name] < last[name])) {
      this.points = []; // emptied and made anew, or a pool less in the sum
      last = undefined;
    }
    const point = { at, leases: figures.total_leases, perSecond: null };
    for (const name of COUNTERS) point[name] = figures[name];
    if (last) {
      const seconds = at - last.at;
      point.perSecond = Object.fromEntries(
        COUNTERS.map((name) => [name, (point[name] - last[name]) / seconds]),
      );
    }
    this.points.push(point);
    // One point more than is seen: the curve then begins at the edge.
    while (this.points.length > 2 && this.points[1].at < at - WINDOW) this.points.shift();
  }

  /** The rate of a counter over the last moments, null before the second reading. */
  rate(name) {
    const last = this.points.at(-1);
    const first = this.points.findLast((p) => p.at <= last.at - SMOOTH) ?? this.points[0];
    return first && last.at > first.at ? (last[name] - first[name]) / (last.at - first.at) : null;
  }

  /** [seconds, value] of each reading: of "leases", or a counter's rate. */
  curve(name) {
    if (name === "leases") return this.points.map((p) => [p.at, p.leases]);
    return this.points.filter((p) => p.perSecond).map((p) => [p.at, p.perSecond[name]]);
  }
}

export class Fleet {
  constructor() {
    this.pools = new Map(); // id -> {figures, history}
    this.total = { figures: null, history: new History() };
    this.ahead = 0; // ms by which the server's clock is ahead of ours
    this.readings = 0;
    this.members = "";
  }

  /** Takes in one reply of the overview. */
  take(readings) {
    const known = this.pools;
    this.pools = new Map();
    const sum = Object.fromEntries(SUMS.map((name) => [name, 0]));
    let latest = 0;
    for (const figures of readings) {
      const at = Date.parse(figures.at) / 1000;
      const entry = known.get(figures.pool.id) ?? { history: new History() };
      entry.figures = figures;
      entry.history.add(figures, at);
      this.pools.set(figures.pool.id, entry);
      for (const name of SUMS) sum[name] += figures[name];
      latest = Math.max(latest, at);
    }
    // A pool that comes or goes takes its counters along: the sum begins anew, or it would jump.
    const members = [...this.pools.keys()].sort().join();
    if (members !== this.members) this.total.history = new History();
    this.members = members;
    this.total.figures = sum;
    if (latest) {
      this.total.history.add(sum, latest);
      this.ahead = latest * 1000 - Date.now();
    }
    this.readings += 1;
  }

  /** The server's time now, in milliseconds, as far as one knows. */
  now() {
    return Date.now() + this.ahead;
  }
}
