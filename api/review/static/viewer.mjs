// <cc-viewer>: one artifact. Pictures zoom and pan, with a checkerboard under transparency; text wraps and grows.
import { build } from "./build.mjs";
import { Transport, actOn, controls } from "./player.mjs";
import { View } from "./view.mjs";

const BACKGROUNDS = ["checker", "dark", "light"];

class Viewer extends HTMLElement {
  connectedCallback() {
    if (this.stage || !this.isConnected) return;
    const media = this.querySelector("img, video");
    if (media && ["image", "video"].includes(this.dataset.kind)) this.#showPicture(media);
    else if (this.dataset.kind === "audio") this.#playSound(this.querySelector("audio"));
    else if (this.dataset.kind === "text") this.#showText(this.querySelector("pre"));
  }

  disconnectedCallback() {
    this.view?.release();
  }

  // What a key asks of the picture; answers whether it meant anything here.
  act(action) {
    if (action === "wrap" && this.toggleWrap) return this.toggleWrap(), true;
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
      background: () => this.#nextBackground(),
    };
    acts[action]?.();
    return action in acts;
  }

  #showPicture(media) {
    this.view = new View(Number(this.dataset.width) || 0, Number(this.dataset.height) || 0);
    this.plane = build("div", { class: "cc-plane" });
    this.stage = build("div", { class: "cc-stage", tabIndex: 0, role: "group", "aria-label": "Picture: drag to move, plus and minus to zoom" }, this.plane);
    this.stage.dataset.background = "checker";
    this.plane.dataset.alpha = this.dataset.alpha ?? "false";
    media.draggable = false;
    if (media instanceof HTMLImageElement) media.decoding = "sync";
    const holder = media.closest("cc-video");
    this.prepend(this.stage);
    this.plane.append(media);
    if (holder) holder.takeMedia(media);
    const measured = () => this.view.setSize(media.naturalWidth || media.videoWidth, media.naturalHeight || media.videoHeight);
    // Stored sizes come first, so that nothing moves when the picture arrives; a proxy may be smaller.
    if (!Number(this.dataset.width)) {
      media.addEventListener(media instanceof HTMLVideoElement ? "loadedmetadata" : "load", measured);
      measured();
    }
    this.append(this.#bar());
    this.view.attach(this.stage, this.plane);
  }

  #bar() {
    const zoom = build("output", { class: "cc-zoom", "aria-live": "off" });
    this.view.addEventListener("change", () => (zoom.value = `${Math.round(this.view.scale * window.devicePixelRatio * 100)} %`));
    const button = (text, action, title) =>
      build("button", { type: "button", title, "aria-label": title, on: { click: () => this.act(action) } }, text);
    return build(
      "div",
      { class: "cc-bar", role: "toolbar", "aria-label": "View" },
      button("Fit", "fit", "Fit into the window"),
      button("1:1", "actual", "One pixel on one pixel"),
      button("−", "zoom_out", "Smaller"),
      button("+", "zoom_in", "Larger"),
      ...(this.dataset.alpha === "true" ? [button("▦", "background", "Another background")] : []),
      zoom,
    );
  }

  #nextBackground() {
    const now = BACKGROUNDS.indexOf(this.stage.dataset.background);
    this.stage.dataset.background = BACKGROUNDS[(now + 1) % BACKGROUNDS.length];
  }

  #playSound(sound) {
    if (!sound || this.transport) return;
    this.transport = new Transport([sound]);
    this.append(controls(this.transport));
  }

  #showText(text) {
    if (!text || this.toggleWrap) return;
    text.tabIndex = 0;
    const wraps = build("button", { type: "button", "aria-pressed": "true" }, "Wrap lines");
    text.classList.add("cc-wraps");
    this.toggleWrap = () => {
      const isOn = text.classList.toggle("cc-wraps");
      wraps.setAttribute("aria-pressed", String(isOn));
    };
    wraps.addEventListener("click", this.toggleWrap);
    this.append(build("div", { class: "cc-bar", role: "toolbar", "aria-label": "View" }, wraps));
  }
}

customElements.define("cc-viewer", Viewer);
