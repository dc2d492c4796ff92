// A sparkline: up to two minutes from left to right, the newest at the right edge, zero at the bottom.
// Its scale is its own highest value; the label that goes with it says which that is.

import { setAttribute, svg } from "./dom.js";
import { WINDOW } from "./fleet.js";

const WIDTH = 120;
const HEIGHT = 24;
const TOP = 2; // room for the line's width
const LEAST = 30; // seconds: what has just begun begins at the middle, not as a dot at the edge

export class Spark {
  constructor(kind) {
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.root = svg(
      "svg",
      { class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", focusable: "false" },
      this.area,
      this.line,
    );
  }

  /** Draws [seconds, value] pairs; `describe` makes the label of the highest value. */
  draw(points, describe) {
    const last = points.at(-1);
    const highest = points.reduce((most, [, value]) => Math.max(most, value), 0);
    setAttribute(this.root, "aria-label", describe(highest));
    if (points.length < 2) {
      setAttribute(this.line, "d", "");
      setAttribute(this.area, "d", "");
      return highest;
    }
    const seconds = Math.min(WINDOW, Math.max(LEAST, last[0] - points[0][0]));
    const scale = (HEIGHT - TOP) / Math.max(highest, 1);
    const places = points.map(([at, value]) => {
      const x = WIDTH - ((last[0] - at) / seconds) * WIDTH;
      return `${x.toFixed(1)} ${(HEIGHT - value * scale).toFixed(1)}`;
    });
    const line = `M${places.join("L")}`;
    setAttribute(this.line, "d", line);
    setAttribute(this.area, "d", `${line}V${HEIGHT}H${places[0].split(" ")[0]}Z`);
    return highest;
  }
}
