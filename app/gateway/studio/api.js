// The service's HTTP API. Every refusal becomes a Problem with the service's own sentence.

/** The path before all addresses of the service: this file is root/studio/VERSION/api.js. */
export const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

export class Problem extends Error {
  constructor(status, detail, { errors = [], code = "", retryAfter = null } = {}) {
    super(detail);
    Object.assign(this, { status, errors, code, retryAfter });
  }
}

const NO_ANSWER = "The service does not answer. Is it running, and is this device still connected?";

/** Seconds, which a proxy may give as a date (RFC 9110, section 10.2.3); null for none. */
function secondsUntilRetry(text) {
  if (/^\d+$/.test(text)) return Number(text) || null;
  const left = Date.parse(text) - Date.now();
  return left > 0 ? left / 1000 : null;
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const retryAfter = secondsUntilRetry(response.headers.get("Retry-After"));
  const detail = body.detail || `The service answered ${response.status} ${response.statusText}.`;
  return new Problem(response.status, detail, { errors: body.errors, code: body.code, retryAfter });
}

/** The answer to a request. With keys, a 401 concerns the whole page. */
export async function send(method, path, { body, headers = {}, signal } = {}) {
  let response;
  try {
    response = await fetch(path, { method, body, headers, signal, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, NO_ANSWER);
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) document.dispatchEvent(new CustomEvent("signed-out"));
  throw problem;
}

export const json = async (method, path, options) => (await send(method, path, options)).json();
export const get = (path, options) => json("GET", path, options);

/** Random text that names one submission, so that sending it twice makes one job. */
function onceKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Ask for pictures; returns the job. A lost answer is asked for once more, under the same key. */
export async function submit(task, form) {
  const options = { body: form, headers: { "Idempotency-Key": onceKey() } };
  try {
    return await json("POST", `${root}/${task}`, options);
  } catch (problem) {
    if (problem.status !== 0) throw problem;
    await new Promise((done) => { setTimeout(done, 800); });
    return json("POST", `${root}/${task}`, options);
  }
}

export const job = (id) => get(`${root}/jobs/${id}`);
export const jobs = (path = `${root}/jobs?limit=24`) => get(path);
export const cancel = (id) => json("POST", `${root}/jobs/${id}/cancel`);
export const erase = (id) => send("DELETE", `${root}/jobs/${id}`);
export const blob = async (path) => (await send("GET", path)).blob();
