// A mask as a PNG of one bit per pixel, written row by row: no canvas of the photo's size is
// needed, which phones refuse for large photos.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const CRC = new Uint32Array(256).map((_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32. */
export function checksum(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function number(value) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function chunk(kind, data) {
  const body = new Uint8Array(4 + data.length);
  body.set(new TextEncoder().encode(kind));
  body.set(data, 4);
  return [number(data.length), body, number(checksum(body))];
}

/** Rows of the PNG, each a filter byte and its bits; white where `alpha` is more than half. */
function rows(alpha, from, width, height) {
  const stride = 1 + Math.ceil(width / 8);
  const bytes = new Uint8Array(stride * height);
  const columns = Uint32Array.from({ length: width }, (_, x) => (
    Math.floor(((x + 0.5) * from.width) / width)
  ));
  for (let y = 0; y < height; y += 1) {
    const source = Math.floor(((y + 0.5) * from.height) / height) * from.width;
    const target = y * stride + 1;
    for (let x = 0; x < width; x += 1) {
      if (alpha[(source + columns[x]) * 4 + 3] > 127) bytes[target + (x >> 3)] |= 128 >> (x & 7);
    }
  }
  return bytes;
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** `image`: ImageData of any size, stretched to width × height. */
export async function maskPng(image, width, height) {
  const header = new Uint8Array([...number(width), ...number(height), 1, 0, 0, 0, 0]);
  const data = await deflated(rows(image.data, image, width, height));
  const parts = [
    new Uint8Array(SIGNATURE),
    ...chunk("IHDR", header), ...chunk("IDAT", data), ...chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}
