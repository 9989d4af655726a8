// Several files as one ZIP (APPNOTE 6.3), stored as they are: images are compressed already.

import { checksum } from "./png.js";

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50;
const VERSION = 20, UTF8 = 0x0800;

/** Little-endian numbers: [value, bytes] pairs. */
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let place = 0;
  for (const [value, size] of fields) {
    view[size === 4 ? "setUint32" : "setUint16"](place, value, true);
    place += size;
  }
  return new Uint8Array(view.buffer);
}

const dosTime = (d) => (d.getHours() << 11) | (d.getMinutes() << 5) | (d.getSeconds() >> 1);
const dosDate = (d) => ((d.getFullYear() - 1980) << 9) | ((d.getMonth() + 1) << 5) | d.getDate();

/** `files`: {name, bytes} each. */
export function zip(files, now = new Date()) {
  const body = [], index = [];
  let offset = 0, indexSize = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name);
    const common = [[VERSION, 2], [UTF8, 2], [0, 2], [dosTime(now), 2], [dosDate(now), 2],
      [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2]];
    const local = record([LOCAL, 4], ...common);
    const central = record([CENTRAL, 4], [VERSION, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]);
    body.push(local, path, bytes);
    index.push(central, path);
    offset += local.length + path.length + bytes.length;
    indexSize += central.length + path.length;
  }
  const end = record([END, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [indexSize, 4], [offset, 4], [0, 2]);
  return new Blob([...body, ...index, end], { type: "application/zip" });
}
