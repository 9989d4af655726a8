// Painting a mask on a photo, by mouse, finger, pen or keyboard.

import { button, el, icon, radios, say, shaped } from "./dom.js";

const TOOLS = [["brush", "Brush"], ["eraser", "Eraser"], ["box", "Box"]];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP = "Paint over the part to fill. Arrow keys move, Space puts the brush down and up.";
let editors = 0;

const clamp = (value, most) => Math.min(Math.max(value, 0), most);

function rectangle(a, b) {
  return {
    kind: "box", x: Math.min(a.x, b.x), y: Math.min(a.y, b.y),
    width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y),
  };
}

export class MaskEditor {
  /** `drawing` is painted on; `photo` is the element it lies on. */
  constructor(drawing, photo, label, onchange) {
    Object.assign(this, { drawing, onchange, tool: "brush", stroke: null, corner: null });
    this.name = `mask-tool-${editors += 1}`;
    this.cursor = { x: drawing.width / 2, y: drawing.height / 2 };
    this.ring = el("div", { class: "ring", "aria-hidden": "true" });
    this.frame = el("div", { class: "frame", "aria-hidden": "true" });
    const canvas = drawing.canvas;
    canvas.className = "mask";
    for (const [name, value] of Object.entries({
      tabindex: 0, role: "application", "aria-label": `${label}. ${HELP}`,
    })) canvas.setAttribute(name, value);
    this.surface = shaped(
      el("div", { class: "surface" }, photo, canvas, this.frame, this.ring), drawing.photo,
    );
    this.feedback = el("p", { class: "feedback soft" });
    this.element = el("div", { class: "mask-editor" }, this.#toolbar(), this.surface,
      el("div", { class: "row apart" }, this.feedback, this.#sizes()));
    this.#listen(canvas);
    this.#resized(Math.round(Math.max(drawing.width, drawing.height) / 9));
    this.changed();
  }

  #toolbar() {
    const choices = TOOLS.map(([value, text]) => [value, [icon(value), el("span", {}, text)]]);
    const step = (name, label, key) => button(name, label, () => this.#do(name), {
      bare: true, title: `${label} (${key})`,
    });
    this.undoButton = step("undo", "Undo", "Ctrl Z");
    this.redoButton = step("redo", "Redo", "Ctrl Shift Z");
    const tools = el("div", { class: "segments tools", role: "radiogroup", "aria-label": "Tool" },
      radios(this.name, choices, this.tool, (tool) => this.#use(tool)));
    return el("div", { class: "toolbar" }, tools,
      el("div", { class: "steps" }, this.undoButton, this.redoButton,
        step("invert", "Invert", "I"), button("trash", "Clear", () => this.#do("clear"), { bare: true })));
  }

  #sizes() {
    const most = Math.round(Math.max(this.drawing.width, this.drawing.height) / 2);
    this.size = el("input", {
      type: "range", min: 2, max: most, "aria-label": "Brush size", class: "size",
      oninput: () => this.#resized(this.size.valueAsNumber),
    });
    return el("label", { class: "size-label" },
      el("span", { class: "dot small" }), this.size, el("span", { class: "dot" }));
  }

  #use(tool) {
    this.#lift();
    this.tool = tool;
    for (const radio of this.element.querySelectorAll(`[name=${this.name}]`)) {
      radio.checked = radio.value === tool;
    }
    this.surface.dataset.tool = tool;
    this.#showRing();
  }

  #resized(size) {
    this.size.value = size;
    this.#showRing();
  }

  #do(name) {
    this.#lift();
    if (name === "undo" || name === "redo") this.drawing[name]();
    else this.drawing.add({ kind: name });
    this.changed();
  }

  changed() {
    const coverage = this.drawing.coverage();
    this.undoButton.disabled = !this.drawing.steps.length;
    this.redoButton.disabled = !this.drawing.undone.length;
    const percent = coverage > 0 && coverage < 0.01 ? "less than 1" : Math.round(coverage * 100);
    this.feedback.textContent = coverage ? `${percent} % of the photo will be filled.`
      : "Paint over the part to fill.";
    this.onchange();
  }

  #listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#lift());
    canvas.addEventListener("pointerleave", () => this.surface.classList.remove("over"));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#showRing());
    canvas.addEventListener("blur", () => this.#lift());
    new ResizeObserver(() => this.#showRing()).observe(canvas);
  }

  #point(event) {
    const box = this.drawing.canvas.getBoundingClientRect();
    return {
      x: clamp(((event.clientX - box.left) / box.width) * this.drawing.width, this.drawing.width),
      y: clamp(((event.clientY - box.top) / box.height) * this.drawing.height, this.drawing.height),
    };
  }

  #press(event) {
    if (event.button !== 0) return;
    this.drawing.canvas.setPointerCapture(event.pointerId);
    this.cursor = this.#point(event);
    this.#down();
  }

  #drag(event) {
    this.surface.classList.add("over");
    // The moves between two frames, too: a fast line stays round.
    const events = event.getCoalescedEvents?.() || [];
    for (const each of events.length ? events : [event]) this.#to(this.#point(each));
  }

  #release(event) {
    this.#to(this.#point(event));
    this.#up();
  }

  #down() {
    if (this.tool === "box") {
      this.corner = { ...this.cursor };
    } else {
      const { cursor, tool } = this;
      this.stroke = this.drawing.add({
        kind: "stroke", erase: tool === "eraser", size: this.size.valueAsNumber, points: [{ ...cursor }],
      });
    }
    this.#showRing();
  }

  #to(point) {
    this.cursor = point;
    if (this.stroke) this.drawing.extend(this.stroke, { ...point });
    this.#showRing();
  }

  #up() {
    if (this.corner) {
      const box = rectangle(this.corner, this.cursor);
      if (box.width >= 1 && box.height >= 1) this.drawing.add(box);
    }
    this.#lift();
    this.changed();
  }

  /** Whatever was begun ends here. */
  #lift() {
    this.stroke = null;
    this.corner = null;
    this.#showRing();
  }

  #key(event) {
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (name !== "z") return;
      this.#do(event.shiftKey ? "redo" : "undo");
    } else if (ARROWS[name]) {
      this.#step(ARROWS[name], event.shiftKey);
    } else if (!this.#command(name)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #step([dx, dy], large) {
    const { width, height } = this.drawing;
    const step = (Math.max(width, height) / 64) * (large ? 6 : 1);
    this.#to({ x: clamp(this.cursor.x + dx * step, width), y: clamp(this.cursor.y + dy * step, height) });
  }

  #command(name) {
    const larger = { "[": 0.8, "]": 1.25 }[name];
    const tool = { b: "brush", e: "eraser", r: "box" }[name];
    if (larger) this.#resized(Math.max(2, Math.round(this.size.valueAsNumber * larger)));
    else if (tool) this.#use(tool);
    else if (name === "i") this.#do("invert");
    else if (name === " ") this.#space();
    else if (name === "Escape" && (this.stroke || this.corner)) this.#lift();
    else return false;
    return true;
  }

  #space() {
    if (this.stroke || this.corner) {
      this.#up();
      say(`Up. ${this.feedback.textContent}`);
    } else {
      this.#down();
      say(this.tool === "box" ? "First corner." : "Down.");
    }
  }

  /** The brush's outline, and the rectangle that is being drawn. */
  #showRing() {
    const { width, height } = this.drawing;
    const scale = this.drawing.canvas.clientWidth / width || 0;
    const size = this.tool === "box" ? 14 : this.size.valueAsNumber * scale;
    Object.assign(this.ring.style, {
      width: `${size}px`, height: `${size}px`,
      left: `${(this.cursor.x / width) * 100}%`, top: `${(this.cursor.y / height) * 100}%`,
    });
    this.ring.classList.toggle("down", Boolean(this.stroke));
    this.frame.hidden = !this.corner;
    if (!this.corner) return;
    const box = rectangle(this.corner, this.cursor);
    Object.assign(this.frame.style, {
      left: `${(box.x / width) * 100}%`, top: `${(box.y / height) * 100}%`,
      width: `${(box.width / width) * 100}%`, height: `${(box.height / height) * 100}%`,
    });
  }
}
