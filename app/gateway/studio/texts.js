// How jobs are put into words.

/** The job's captions, without their weights. */
export function textsOf(job) {
  const { text } = job.input;
  return (Array.isArray(text) ? text : [text]).map((part) => part.text ?? part);
}

export const textOf = (job) => textsOf(job).join(job.input.frames ? " → " : " + ");

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });

/** "3 minutes ago". */
export function ago(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  const [unit, length] = UNITS.find(([, each]) => seconds >= each) || [];
  return unit ? relative.format(-Math.floor(seconds / length), unit) : "just now";
}

/** What a job that is not over is doing. */
export function progressOf(job) {
  if (job.cancel_requested) return "Stopping…";
  if (job.status === "queued") {
    const place = job.queue_position;
    if (place == null) return "Waiting…";
    return place === 0 ? "Next in the queue" : `${place} ${place === 1 ? "job" : "jobs"} in front`;
  }
  const { done, total } = job.progress;
  return done ? `${done} of ${total} images generated` : "Generating…";
}

export const ENDS = {
  queued: "waiting", running: "running", succeeded: "done", failed: "failed", canceled: "canceled", expired: "deleted",
};

/** A file name from the caption. */
export function fileName(job, image) {
  const words = textOf(job).toLowerCase().match(/[a-z0-9]+/g) || [job.task];
  return `${words.slice(0, 8).join("-")}-${image.seed}.${image.format.replace("jpeg", "jpg")}`;
}

/** Name of the archive of all images. */
export const archiveName = (job) => fileName(job, { seed: job.input.seed, format: "zip" });

export function seconds(milliseconds) {
  if (milliseconds == null) return "";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
