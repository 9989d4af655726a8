// What the service offers: tasks and their fields from /openapi.json, bundles from /models. A task
// that is new to the service is on this page without a change of it.

import { get, root } from "./api.js";

const HANDLED = new Set(["text", "weight", "webhook", "batch"]); // by widgets of their own, or not at all

/** The schema without "or null": what a person may fill in. */
function plain(schema) {
  const choices = schema.anyOf || schema.oneOf;
  if (!choices) return schema;
  const real = choices.find((choice) => choice.type !== "null") || choices[0];
  const { anyOf, oneOf, ...rest } = schema;
  return { ...real, ...rest };
}

const isFile = (schema) => schema.format === "binary" || schema.contentMediaType !== undefined;

/** A mask is the picture that may be given as a box, too. */
function isMask(name, asJson) {
  return (asJson?.properties?.[name]?.anyOf || []).some((choice) => choice.type === "array");
}

function taskOf(path, post, schemas) {
  const content = post.requestBody?.content || {};
  const bodyOf = (type) => schemas[content[type]?.schema.$ref?.split("/").pop()];
  const form = bodyOf("multipart/form-data");
  if (!post.tags?.includes("tasks") || !form?.properties) return null;
  const entries = Object.entries(form.properties);
  const asJson = bodyOf("application/json");
  return {
    name: path.slice(1),
    summary: post.summary,
    images: entries.filter(([, schema]) => isFile(schema)).map(([name, schema]) => ({
      name, kind: isMask(name, asJson) ? "mask" : "photo", description: schema.description || "",
    })),
    fields: entries
      .filter(([name, schema]) => !isFile(schema) && !HANDLED.has(name))
      .map(([name, schema]) => ({ name, required: form.required?.includes(name), ...plain(schema) })),
  };
}

export class Catalogue {
  constructor(openapi, models) {
    this.models = models;
    this.tasks = Object.entries(openapi.paths)
      .map(([path, methods]) => methods.post && taskOf(path, methods.post, openapi.components.schemas))
      .filter(Boolean);
    this.vocabularies = new Map();
  }

  static async load() {
    const [openapi, models] = await Promise.all([get(`${root}/openapi.json`), get(`${root}/models`)]);
    return new Catalogue(openapi, models);
  }

  task(name) {
    return this.tasks.find((task) => task.name === name);
  }

  /** Names of the bundles that offer a task, the default first. */
  bundles(task) {
    const names = this.models.bundles.filter((b) => b.tasks[task]).map((b) => b.name);
    const first = this.models.defaults[task];
    return names.sort((a, b) => (b === first) - (a === first));
  }

  bundle(name) {
    return this.models.bundles.find((b) => b.name === name);
  }

  /** A task of a bundle as /models tells of it. */
  offer(task, bundle) {
    return this.bundle(bundle)?.tasks[task];
  }

  /** What `look` needs to know of a bundle's words. */
  async words(task, bundle) {
    const offer = this.offer(task, bundle);
    if (!offer || offer.methods_without_text.includes(offer.methods[0])) return null;
    if (!this.vocabularies.has(bundle)) {
      this.vocabularies.set(bundle, get(`${root}/models/${encodeURIComponent(bundle)}/vocabulary`));
    }
    try {
      const { tasks } = await this.vocabularies.get(bundle);
      const known = new Set(tasks[task]);
      return { bundle, known, tokenizer: offer.tokenizer, maxWords: offer.max_words };
    } catch {
      this.vocabularies.delete(bundle);
      return null;
    }
  }
}
