// The service's HTTP API. The key travels in a header, so that it is in no address, history or
// access log; it is kept in sessionStorage, which ends with the tab.

const BASE = new URL("../v1/", import.meta.url);
const KEY = "pharox-redis.key";
const TIMEOUT = 15_000; // ms

export const LARGEST_PAGE = 1000;

/** A request that did not work. `status` is 0 if no answer came. */
export class Problem extends Error {
  constructor(status, detail, retryAfter = 0) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }

  /** True if trying again later is all there is to do. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export const storedKey = {
  get: () => sessionStorage.getItem(KEY),
  set: (key) => sessionStorage.setItem(KEY, key),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Sends a request; the reply's body and the cursor of the page after it ("" at the end). */
async function send(method, path, { query = {}, body, signal, key = storedKey.get() } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "") url.searchParams.set(name, value);
  }
  const headers = new Headers({ accept: "application/json" });
  try {
    if (key) headers.set("X-API-Key", key);
  } catch {
    throw new Problem(400, "This cannot be a key: it has characters that no key has.");
  }
  if (body !== undefined) headers.set("content-type", "application/json");

  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]) : AbortSignal.timeout(TIMEOUT),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
    const data = response.status === 204 ? null : await response.json();
    if (response.ok) return { data, next: response.headers.get("x-next-after") ?? "" };
    throw problemOf(response, data);
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    // No answer, half an answer, or one that is not JSON (a proxy's page in between).
    if (response && !response.ok) throw problemOf(response, null);
    throw new Problem(0, "No answer from the service.");
  }
}

function problemOf(response, data) {
  const detail = typeof data?.detail === "string" ? data.detail : data?.title;
  const after = Number(response.headers.get("retry-after")) || 0;
  return new Problem(response.status, detail || `The service answered ${response.status}.`, after);
}

const id = encodeURIComponent;

/** Who a key belongs to: {name, role}. */
export async function whoami(key) {
  return (await send("GET", "whoami", { key })).data;
}

/** The figures of all pools. */
export async function overview(signal) {
  return (await send("GET", "overview", { signal })).data;
}

/** One page of a pool's proxies: {data, next}. */
export function proxies(pool, after, signal) {
  return send("GET", `pools/${id(pool)}/proxies/`, { query: { limit: LARGEST_PAGE, after }, signal });
}

/** One page of a pool's leases, soonest to end first: {data, next}. */
export function leases(pool, after, signal) {
  return send("GET", "leases/", { query: { pool_id: pool, limit: LARGEST_PAGE, after }, signal });
}

/** The proxy with its new status. */
export async function setStatus(pool, proxy, status) {
  return (await send("PATCH", `pools/${id(pool)}/proxies/${id(proxy)}`, { body: { status } })).data;
}

/** The lease, released. */
export async function release(lease) {
  return (await send("POST", `leases/${id(lease)}/release`, { body: {} })).data;
}
