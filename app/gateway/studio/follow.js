// Following one job: server-sent events, or long polls where a stream can't be had.

import * as api from "./api.js";

const FINAL = new Set(["succeeded", "failed", "canceled", "expired"]);
export const isFinal = (job) => FINAL.has(job.status);

const CHANGES = {
  status: (job, data) => ({ ...job, ...data, queue_position: null }),
  position: (job, data) => ({ ...job, ...data }),
  progress: (job, data) => ({ ...job, progress: data }),
  final: (job, data) => ({ ...job, ...data }),
};

/**
 * Calls `onchange(job)` with each change until the job is over; `onproblem(problem)` when it can't
 * be followed any more, `onpause(waiting)` while the connection is lost. Returns a function that
 * stops it.
 */
export function follow(start, { onchange, onproblem, onpause = () => {} }) {
  let job = start;
  let polling = null;
  const source = new EventSource(`${api.root}/jobs/${job.id}/events`);
  const stop = () => { source.close(); polling?.abort(); };

  const tell = (changed) => {
    job = changed;
    if (isFinal(job)) stop();
    onchange(job);
  };
  for (const [kind, change] of Object.entries(CHANGES)) {
    source.addEventListener(kind, (event) => tell(change(job, JSON.parse(event.data))));
  }
  source.addEventListener("open", () => onpause(false));
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) {
      onpause(true);
    } else if (!polling) {
      polling = new AbortController();
      poll(job.id, polling.signal, tell, onpause).catch((error) => {
        if (!polling.signal.aborted) onproblem(error);
      });
    }
  });
  return stop;
}

// What a service that restarts, or has a lot to do, answers for a while.
const PASSING = new Set([0, 429, 502, 503, 504]);
const PAUSE = 1000; // milliseconds between two polls
const LONGEST = 120_000; // however long the service asks for: a timer takes no more than 25 days

async function poll(id, signal, tell, onpause) {
  for (;;) {
    let pause = PAUSE;
    try {
      const job = await api.get(`${api.root}/jobs/${id}?wait=15`, { signal });
      onpause(false);
      tell(job);
      if (isFinal(job)) return;
    } catch (problem) {
      if (!PASSING.has(problem.status)) throw problem;
      onpause(true);
      pause = Math.min(Math.max(PAUSE, (problem.retryAfter || 0) * 1000), LONGEST);
    }
    await new Promise((done) => { setTimeout(done, pause); });
    if (signal.aborted) return;
  }
}
