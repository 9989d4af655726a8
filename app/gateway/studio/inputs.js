// What was sent with each job, kept in this browser: for before and after, and to do it again. The
// service gives inputs to nobody.

const NAME = "mmml-studio";
const STORE = "inputs";
const MOST = 60;
const memory = new Map(); // where a browser keeps nothing, as in private windows

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function store(mode) {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  return (await done(opening)).transaction(STORE, mode).objectStore(STORE);
}

/** Keep the files of a job; the oldest go. Job ids sort by time. */
export async function keep(id, files) {
  memory.set(id, files);
  try {
    await done((await store("readwrite")).put(files, id));
    const keys = await done((await store("readonly")).getAllKeys());
    const old = await store("readwrite");
    for (const key of keys.slice(0, Math.max(0, keys.length - MOST))) old.delete(key);
  } catch { /* they are in memory */ }
}

/** {field: {blob, name}}, empty when nothing is kept. */
export async function inputsOf(id) {
  if (memory.has(id)) return memory.get(id);
  try {
    return (await done((await store("readonly")).get(id))) || {};
  } catch {
    return {};
  }
}

export async function forget(id) {
  memory.delete(id);
  try {
    await done((await store("readwrite")).delete(id));
  } catch { /* nothing was kept */ }
}

export async function forgetAll() {
  memory.clear();
  try {
    await done((await store("readwrite")).clear());
  } catch { /* nothing was kept */ }
}
