// What every program needs: a typed client, the end of a job, its pictures.

import createClient from "openapi-fetch";
import type { components, paths } from "./service.js";

export type Job = components["schemas"]["JobView"];
type Problem = { detail?: string };
type Answer<T> = { data?: T; error?: Problem; response: Response };

const key = process.env.MMML_API_KEY;

// Answers may be pictures, too, when a request's Accept asks for one; this client asks for JSON.
export const service = createClient<paths, `application/${string}`>({
  baseUrl: process.env.MMML_URL ?? "http://127.0.0.1:8000",
  headers: key ? { Authorization: `Bearer ${key}` } : {},
});

/** What was asked for, or an error in the service's own words. */
export function got<T>({ data, error, response }: Answer<T>): T {
  if (data === undefined) throw new Error(error?.detail ?? `The service answered ${response.status}.`);
  return data;
}

/** The job once it has succeeded. */
export async function finished(job: Job): Promise<Job> {
  while (job.status === "queued" || job.status === "running") {
    const path = { job_id: job.id };
    job = got(await service.GET("/jobs/{job_id}", { params: { path, query: { wait: 30 } } }));
  }
  if (job.status !== "succeeded") throw new Error(job.error?.detail ?? `The job was ${job.status}.`);
  return job;
}

/** Picture `index` of a finished job. */
export async function picture(job: Job, index = 0): Promise<Uint8Array> {
  const params = { path: { job_id: job.id, index: String(index) } };
  const bytes = got(await service.GET("/jobs/{job_id}/images/{index}", { params, parseAs: "arrayBuffer" }));
  return new Uint8Array(bytes as ArrayBuffer);
}
