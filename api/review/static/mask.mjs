// <cc-mask>: paint where a picture is to be made anew. The result is a PNG that is transparent where it was painted.
import { build, slider } from "./build.mjs";
import { offer } from "./edit.mjs";
import { pngOf } from "./png.mjs";
import { say } from "./toasts.mjs";
import { View } from "./view.mjs";

const UNDO_STEPS = 20;
// Undo keeps whole masks, one byte per pixel; larger pictures remember fewer steps.
const UNDO_BYTES = 256 * 2 ** 20;

class Mask extends HTMLElement {
  #undo = [];
  #tool = "brush";
  #size = 64;
  #softness = 0.3;

  connectedCallback() {
    if (this.opener || !this.dataset.src) return;
    this.opener = build("button", { type: "button", class: "cc-open-mask", on: { click: () => this.#open() } }, "Paint a mask");
    this.append(this.opener);
  }

  async #open() {
    this.opener.disabled = true;
    this.picture = new Image();
    this.picture.src = this.dataset.src;
    try {
      await this.picture.decode();
    } catch {
      this.opener.disabled = false;
      this.opener.textContent = "The picture cannot be painted on";
      return;
    }
    this.opener.hidden = true;
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    this.canvas = build("canvas", { width, height, class: "cc-paint" });
    this.mask = this.canvas.getContext("2d", { willReadFrequently: true });
    const plane = build("div", { class: "cc-plane" }, this.picture, this.canvas);
    this.stage = build("div", { class: "cc-stage", tabIndex: 0, role: "application", "aria-label": "Mask: draw with the pointer" }, plane);
    this.stage.dataset.tool = "paint";
    this.view = new View(width, height);
    this.panel = build("dialog", { class: "cc-mask", "aria-label": "Paint a mask" }, this.#bar(), this.stage);
    // Escape is pressed too easily to throw a painting away.
    this.panel.addEventListener("cancel", (event) => this.#undo.length > 0 && event.preventDefault());
    this.panel.addEventListener("close", () => this.#put());
    this.append(this.panel);
    this.panel.showModal();
    this.view.attach(this.stage, plane);
    this.#paintWithPointer();
    this.stage.focus();
  }

  #bar() {
    const button = (text, click) => build("button", { type: "button", on: { click } }, text);
    const tools = ["brush", "erase"].map((tool) => {
      const made = button(tool === "brush" ? "Brush" : "Erase", () => {
        this.#tool = tool;
        for (const one of tools) one.setAttribute("aria-pressed", String(one === made));
      });
      made.setAttribute("aria-pressed", String(tool === this.#tool));
      return made;
    });
    return build(
      "div",
      { class: "cc-bar", role: "toolbar", "aria-label": "Mask" },
      ...tools,
      slider("Size", { min: 2, max: 512, step: 1, value: this.#size }, (value) => (this.#size = value)).element,
      slider("Soft edge", { min: 0, max: 1, step: 0.05, value: this.#softness }, (value) => (this.#softness = value)).element,
      button("Feather", () => this.feather()),
      button("Invert", () => this.invert()),
      button("Undo", () => this.undo()),
      button("Clear", () => this.clear()),
      button("Fit", () => this.view.fit()),
      button("Use as edited file", () => this.useAsEdit()),
      button("Keep as an input", () => this.keepAsInput()),
      button("Close", () => this.panel.close()),
    );
  }

  #put() {
    this.view.release();
    this.panel.remove();
    this.stage = this.view = null;
    this.#undo = [];
    this.opener.hidden = this.opener.disabled = false;
  }

  #paintWithPointer() {
    let last = null;
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      return { x: (event.clientX - box.left - this.view.x) / this.view.scale, y: (event.clientY - box.top - this.view.y) / this.view.scale };
    };
    this.stage.style.touchAction = "none";
    this.view.addEventListener("change", () => (this.stage.style.touchAction = "none"));
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.#remember();
      this.stage.setPointerCapture(event.pointerId);
      last = at(event);
      this.stroke(last, last);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!last) return;
      for (const point of event.getCoalescedEvents?.() ?? [event]) {
        const now = at(point);
        this.stroke(last, now);
        last = now;
      }
    });
    for (const type of ["pointerup", "pointercancel"]) this.stage.addEventListener(type, () => (last = null));
  }

  // Dabs from one place to the other, in pixels of the picture.
  stroke(from, to) {
    const radius = this.#size / 2;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, radius / 4)));
    this.mask.globalCompositeOperation = this.#tool === "erase" ? "destination-out" : "source-over";
    for (let step = 0; step <= steps; step++) {
      const x = from.x + ((to.x - from.x) * step) / steps;
      const y = from.y + ((to.y - from.y) * step) / steps;
      const dab = this.mask.createRadialGradient(x, y, radius * (1 - this.#softness), x, y, radius);
      dab.addColorStop(0, "rgba(255, 64, 64, 1)");
      dab.addColorStop(1, "rgba(255, 64, 64, 0)");
      this.mask.fillStyle = this.#softness > 0 ? dab : "rgb(255, 64, 64)";
      this.mask.beginPath();
      this.mask.arc(x, y, radius, 0, 2 * Math.PI);
      this.mask.fill();
    }
    this.mask.globalCompositeOperation = "source-over";
  }

  invert() {
    this.#remember();
    const pixels = this.#pixels();
    for (let at = 3; at < pixels.data.length; at += 4) this.#set(pixels.data, at, 255 - pixels.data[at]);
    this.mask.putImageData(pixels, 0, 0);
  }

  feather() {
    this.#remember();
    const copy = build("canvas", { width: this.canvas.width, height: this.canvas.height });
    copy.getContext("2d").drawImage(this.canvas, 0, 0);
    this.mask.clearRect(0, 0, copy.width, copy.height);
    this.mask.filter = `blur(${Math.max(1, this.#size / 8)}px)`;
    this.mask.drawImage(copy, 0, 0);
    this.mask.filter = "none";
  }

  clear() {
    this.#remember();
    this.mask.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  undo() {
    const alpha = this.#undo.pop();
    if (!alpha) return;
    const pixels = this.#pixels();
    alpha.forEach((value, index) => this.#set(pixels.data, index * 4 + 3, value));
    this.mask.putImageData(pixels, 0, 0);
  }

  async useAsEdit() {
    const file = await this.#exported();
    this.panel.close();
    offer(file, this.dataset.form || "edit");
  }

  // For chains that are given a picture with its mask: a run names the input by its id.
  async keepAsInput() {
    const body = new FormData();
    body.set("file", await this.#exported());
    this.panel.close();
    try {
      const response = await fetch(`${document.body.dataset.api}/inputs`, { method: "POST", body });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}.`);
      say(`Kept: a chain takes it as input:${answer.id}`, { stays: true });
    } catch (error) {
      say(error.message, { isProblem: true });
    }
  }

  // The colours stay as they are everywhere; what was painted becomes transparent, as LoadImage's mask expects.
  async #exported() {
    const { width, height } = this.canvas;
    const copy = build("canvas", { width, height });
    const context = copy.getContext("2d");
    context.drawImage(this.picture, 0, 0);
    const picture = context.getImageData(0, 0, width, height).data;
    const painted = this.#pixels().data;
    for (let at = 3; at < picture.length; at += 4) picture[at] = Math.min(picture[at], 255 - painted[at]);
    return new File([await pngOf(width, height, picture)], "masked.png", { type: "image/png" });
  }

  #pixels() {
    return this.mask.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  #set(data, at, alpha) {
    data[at - 3] = 255;
    data[at - 2] = data[at - 1] = 64;
    data[at] = alpha;
  }

  #remember() {
    const { data } = this.#pixels();
    const alpha = new Uint8Array(data.length / 4);
    for (let index = 0; index < alpha.length; index++) alpha[index] = data[index * 4 + 3];
    this.#undo.push(alpha);
    while (this.#undo.length > Math.max(1, Math.min(UNDO_STEPS, Math.floor(UNDO_BYTES / alpha.length)))) this.#undo.shift();
  }
}

customElements.define("cc-mask", Mask);
