// Numbers and times as they are read on the page.

const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const NOTHING = "–";

export function count(number) {
  return WHOLE.format(number);
}

/** `plural(1, "lease")` is "1 lease", `plural(2000, "lease")` "2,000 leases". */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A rate a second; null (not known yet) is a dash. */
export function rate(value) {
  if (value === null) return NOTHING;
  if (value < 0.05) return "0";
  return value < 9.95 ? TENTHS.format(value) : WHOLE.format(value);
}

/** A part of a whole: rounded down, so that 100 % is all of it. */
export function percent(part, whole) {
  return whole ? `${Math.floor((100 * part) / whole)} %` : NOTHING;
}

/** Seconds as 0:42, 12:05 or 3:12:05, and from two days on as 2 d 3 h. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  if (hours >= 48) return `${count(Math.floor(hours / 24))} d ${hours % 24} h`;
  const rest = `${two(whole % 60)}`;
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** How long ago, roughly: 12 s, 5 min, 3 h, 9 d. */
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
  return `${count(Math.floor(whole / 86400))} d`;
}

/** Time of day, the reader's. */
export function clock(milliseconds) {
  return CLOCK.format(new Date(milliseconds));
}

export function latency(milliseconds) {
  return milliseconds === null || milliseconds === undefined ? NOTHING : `${count(milliseconds)} ms`;
}

const names = new Map();
let regions;
try {
  regions = new Intl.DisplayNames(["en"], { type: "region" });
} catch {
  regions = null;
}

/** The name of a country by its code; "" for what is no code or has no name. */
export function countryName(code) {
  if (!code) return "";
  if (!names.has(code)) {
    let name = "";
    try {
      name = regions?.of(code) ?? "";
    } catch {
      // Not a code: lists of proxies have all sorts of things there.
    }
    names.set(code, name === code ? "" : name);
  }
  return names.get(code);
}

/** host:port, an IPv6 host in brackets. */
export function address(proxy) {
  const host = String(proxy.host);
  return host.includes(":") ? `[${host}]:${proxy.port}` : `${host}:${proxy.port}`;
}
