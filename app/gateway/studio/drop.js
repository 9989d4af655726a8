// Photos that are dropped anywhere on the page, or pasted.

import { byId } from "./dom.js";

const photoIn = (files) => [...files].find((file) => file.type.startsWith("image/"));

/** Calls `take(file)`. */
export function takePhotos(take) {
  const overlay = byId("drop");
  let depth = 0;
  const shown = (by) => {
    depth = by ? Math.max(0, depth + by) : 0;
    overlay.classList.toggle("shown", depth > 0);
  };
  const files = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => files(event) && shown(1));
  window.addEventListener("dragleave", (event) => files(event) && shown(-1));
  window.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    shown(0);
    const photo = photoIn(event.dataTransfer.files);
    if (photo) take(photo);
  });
  window.addEventListener("paste", (event) => {
    const photo = photoIn(event.clipboardData?.files || []);
    if (!photo) return;
    event.preventDefault();
    take(photo);
  });
}
