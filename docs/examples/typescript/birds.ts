// The three tasks. `npm install`, then `npm start`, beside a running `mmml serve`.

import { readFile, writeFile } from "node:fs/promises";
import { finished, got, picture, service } from "./client.js";

const photo = (await readFile("../photo.jpg")).toString("base64");

const drawn = got(
  await service.POST("/synthesize", {
    body: { text: "a bird with a red crown and blue wings", seed: 7, count: 2 },
    headers: { "Idempotency-Key": crypto.randomUUID() }, // sent twice, it makes one job
  }),
);
const edited = got(
  await service.POST("/manipulate", {
    body: { text: "a bird with green wings", image: photo, format: "jpeg" },
  }),
);
const filled = got(
  await service.POST("/inpaint", {
    // The mask is white where the photo is to be filled; here a box: x, y, width, height.
    body: { text: "a bird with a blue crown", image: photo, mask: [140, 40, 80, 60] },
  }),
);

for (const [name, accepted] of Object.entries({ "drawn.png": drawn, "edited.jpg": edited, "filled.png": filled })) {
  const job = await finished(accepted);
  await writeFile(name, await picture(job));
  console.log(`${name}: ${job.images.length} of seed ${job.images[0]?.seed}, ${job.warnings.length} warnings`);
}

const { error } = await service.POST("/synthesize", { body: { text: "qwertz" } });
console.log(error?.detail);
