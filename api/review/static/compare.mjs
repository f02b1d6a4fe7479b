// <cc-compare>: two versions under one view. Wipe, side by side, overlay, difference, flicker.
import { build, slider } from "./build.mjs";
import { Transport, actOn, controls } from "./player.mjs";
import { changedLines } from "./lines.mjs";
import { View } from "./view.mjs";

const MODES = { wipe: "Wipe", side: "Side by side", overlay: "Overlay", difference: "Difference", flicker: "Flicker" };
const FLICKER_MS = 500;

class Compare extends HTMLElement {
  #flicker = null;

  connectedCallback() {
    if (this.isSetUp || !this.isConnected) return;
    this.sides = ["left", "right"].map((side) => this.querySelector(`figure[data-side="${side}"]`));
    if (this.sides.some((side) => !side)) return;
    this.isSetUp = true;
    if (this.dataset.kind === "text") return this.#compareText();
    const media = this.sides.map((side) => side.querySelector("img, video, audio"));
    if (media.some((one) => !one)) return;
    if (this.dataset.kind === "audio") return this.#compareSound(media);
    this.#comparePictures(media);
  }

  disconnectedCallback() {
    this.view?.release();
    clearInterval(this.#flicker);
  }

  act(action) {
    if (action.startsWith("mode_") && this.view) return this.choose(action.slice(5)), true;
    if (action === "swap" && this.view) return this.#blink(), true;
    if (this.transport && actOn(this.transport, action)) return true;
    if (!this.view) return false;
    const step = 80;
    const acts = {
      fit: () => this.view.fit(),
      actual: () => this.view.actual(),
      zoom_in: () => this.view.zoomBy(1.25),
      zoom_out: () => this.view.zoomBy(0.8),
      pan_left: () => this.view.panBy(step, 0),
      pan_right: () => this.view.panBy(-step, 0),
      pan_up: () => this.view.panBy(0, step),
      pan_down: () => this.view.panBy(0, -step),
    };
    acts[action]?.();
    return action in acts;
  }

  show(mode) {
    if (!(mode in MODES)) return;
    this.dataset.mode = mode;
    clearInterval(this.#flicker);
    this.#reveal(true);
    if (mode === "flicker" && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#flicker = setInterval(() => this.#blink(), FLICKER_MS);
    }
    for (const button of this.modeButtons) button.setAttribute("aria-pressed", String(button.value === mode));
    this.amount.element.hidden = !["wipe", "overlay", "difference"].includes(mode);
    this.handle.hidden = mode !== "wipe";
    this.amount.input.value = mode === "difference" ? 0 : 50;
    this.#setAmount(Number(this.amount.input.value));
    // The stage of a single mode has the width of both: the view is fitted to what is there now.
    requestAnimationFrame(() => this.view.isFitted && this.view.fit());
  }

  // The pair and the way of looking at it are one link.
  choose(mode) {
    this.show(mode);
    const url = new URL(location.href);
    url.searchParams.set("mode", mode);
    history.replaceState(history.state, "", url);
  }

  #comparePictures(media) {
    this.view = new View(Number(this.dataset.width), Number(this.dataset.height));
    if (!Number(this.dataset.width)) {
      const measured = () =>
        this.view.setSize(media[0].naturalWidth || media[0].videoWidth, media[0].naturalHeight || media[0].videoHeight);
      media[0].addEventListener(media[0] instanceof HTMLVideoElement ? "loadedmetadata" : "load", measured);
      measured();
    }
    this.stages = this.sides.map((side, index) => {
      const plane = build("div", { class: "cc-plane" });
      const stage = build("div", { class: "cc-stage", tabIndex: index === 0 ? 0 : -1, role: "group" }, plane);
      stage.setAttribute("aria-label", index === 0 ? "Left" : "Right");
      stage.dataset.background = "checker";
      plane.dataset.alpha = "true";
      media[index].draggable = false;
      plane.append(media[index]);
      side.prepend(stage);
      this.view.attach(stage, plane);
      return stage;
    });
    this.handle = build("div", { class: "cc-handle", hidden: true });
    this.pair = build("div", { class: "cc-pair" });
    this.prepend(this.pair);
    this.pair.append(...this.sides, this.handle);
    if (this.dataset.kind === "video") {
      const own = this.querySelector("cc-video")?.dataset ?? {};
      for (const one of media) Object.assign(one, { controls: false, loop: true });
      media[1].muted = true;
      this.transport = new Transport(media, { fps: Number(own.fps), frameCount: Number(own.frameCount) });
    }
    this.append(this.#bar());
    this.#dragWipe();
    const linked = new URLSearchParams(location.search).get("mode") ?? this.dataset.mode;
    this.show(linked in MODES ? linked : "wipe");
  }

  #bar() {
    this.modeButtons = Object.entries(MODES).map(([mode, label]) =>
      build("button", { type: "button", value: mode, on: { click: () => this.choose(mode) } }, label),
    );
    this.amount = slider("Amount", { min: 0, max: 100, step: 1, value: 50 }, (amount) => this.#setAmount(amount));
    const bar = build("div", { class: "cc-bar", role: "toolbar", "aria-label": "Compare" }, ...this.modeButtons, this.amount.element);
    if (this.transport) bar.append(controls(this.transport));
    return bar;
  }

  // Percent: of the width that is wiped, of the right one's opacity, or of how far a difference is amplified.
  #setAmount(percent) {
    const mode = this.dataset.mode;
    const right = this.stages[1];
    right.style.clipPath = mode === "wipe" ? `inset(0 0 0 ${percent}%)` : "";
    right.style.opacity = mode === "overlay" ? String(percent / 100) : "";
    this.handle.style.left = `${percent}%`;
    this.pair.style.filter = mode === "difference" ? `brightness(${1 + percent / 5})` : "";
    this.amount.element.firstChild.textContent = { wipe: "Wipe", overlay: "Opacity", difference: "Amplify" }[mode] ?? "";
  }

  #dragWipe() {
    this.handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.handle.setPointerCapture(event.pointerId);
    });
    this.handle.addEventListener("pointermove", (event) => {
      if (!this.handle.hasPointerCapture(event.pointerId)) return;
      const box = this.stages[0].getBoundingClientRect();
      const percent = Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100));
      this.amount.input.value = percent;
      this.#setAmount(percent);
    });
  }

  #blink() {
    this.#reveal(this.sides[1].classList.contains("cc-away"));
  }

  #reveal(isRight) {
    this.sides[1].classList.toggle("cc-away", !isRight);
  }

  #compareSound(media) {
    this.transport = new Transport(media);
    const heard = build("button", { type: "button" }, "Hear the other one");
    media[1].muted = true;
    heard.addEventListener("click", () => {
      for (const one of media) one.muted = !one.muted;
    });
    this.append(build("div", { class: "cc-bar", role: "toolbar", "aria-label": "Compare" }, heard), controls(this.transport));
  }

  #compareText() {
    const texts = this.sides.map((side) => side.querySelector("pre"));
    if (texts.some((text) => !text)) return;
    const marked = changedLines(...texts.map((text) => text.textContent.split("\n")));
    texts.forEach((text, index) => {
      text.replaceChildren(
        ...marked[index].map(({ line, isChanged }) =>
          isChanged ? build(index === 0 ? "del" : "ins", {}, `${line}\n`) : document.createTextNode(`${line}\n`),
        ),
      );
    });
  }
}

customElements.define("cc-compare", Compare);
