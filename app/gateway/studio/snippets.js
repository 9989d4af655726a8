// A job as commands: what one would type to get the same pictures.

const OWN_METHOD = new Set(["synthesize", "manipulate", "inpaint"]);
const LEFT_OUT = new Set(["text", "task"]);

const shell = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function python(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (value && typeof value === "object") {
    return `{${Object.entries(value).map(([k, v]) => `${python(k)}: ${python(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Fields with a value that says something, in the order of the request. */
function options(job) {
  return Object.entries(job.input).filter(([name, value]) => (
    !LEFT_OUT.has(name) && value !== null && value !== false
  ));
}

function textFields(text) {
  const texts = Array.isArray(text) ? text : [text];
  return texts.flatMap((part) => (typeof part === "string" ? [["text", part]]
    : [["text", part.text], ["weight", part.weight]]));
}

const fileName = (job) => `picture.${{ jpeg: "jpg" }[job.input.format] || job.input.format || "png"}`;

export function curl(job, files, { origin, keyed }) {
  const one = (job.input.count || 1) === 1;
  const fields = [...textFields(job.input.text), ...options(job)];
  return [
    `curl -sS --fail-with-body ${shell(`${origin}/${job.task}?wait=60`)}`,
    keyed && '-H "Authorization: Bearer $MMML_API_KEY"',
    ...fields.map(([name, value]) => `--form-string ${shell(`${name}=${value}`)}`),
    ...Object.entries(files).map(([name, file]) => `-F ${shell(`${name}=@"${file.name}"`)}`),
    one && `-H ${shell(`Accept: image/${job.input.format || "png"}`)} -o ${fileName(job)}`,
  ].filter(Boolean).join(" \\\n  ");
}

function call(job, files) {
  const named = options(job).map(([name, value]) => `${name}=${python(value)}`);
  const pictures = Object.entries(files).map(([name, file]) => [name, file.name]);
  const text = python(job.input.text);
  if (OWN_METHOD.has(job.task)) {
    return [`client.${job.task}`, [...pictures.map(([, name]) => python(name)), text, ...named]];
  }
  return ["client.submit_task", [python(job.task), text, python(Object.fromEntries(pictures)), ...named]];
}

export function pythonCode(job, files, { origin, keyed }) {
  const [method, given] = call(job, files);
  return [
    "from mmml import Client",
    "",
    ...(keyed ? ["# The key is taken from the environment: MMML_API_KEY."] : []),
    `with Client(${python(origin)}) as client:`,
    `    job = ${method}(`,
    ...given.map((each) => `        ${each},`),
    "    )",
    "    job.wait()",
    `    job.save(${python(fileName(job))})`,
    "",
  ].join("\n");
}
