// <cc-video>: frame step, loop range and speed over a <video> or <audio>; `Transport` moves one or two as one.
import { build } from "./build.mjs";

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2];
const DEFAULT_FPS = 24;
// Two that play together may drift by this much before the second is set right.
const DRIFT_SECONDS = 0.04;

export class Transport extends EventTarget {
  #loop = null;

  constructor(media, { fps, frameCount } = {}) {
    super();
    this.media = media;
    this.lead = media[0];
    this.fps = fps || DEFAULT_FPS;
    this.frameCount = frameCount || 0;
    this.frame = 0;
    for (const type of ["play", "pause", "seeked", "ratechange", "loadedmetadata", "timeupdate"]) {
      this.lead.addEventListener(type, () => this.#follow(type));
    }
    this.#watchFrames();
  }

  get isPlaying() {
    return !this.lead.paused;
  }

  get loop() {
    return this.#loop;
  }

  toggle() {
    if (this.isPlaying) this.lead.pause();
    // Refused by a browser that wants a click first: the controls stay as they are.
    else this.lead.play().catch(() => this.#told());
  }

  // The middle of a frame is asked for: its edge may belong to the one before, by rounding.
  seekFrame(frame) {
    const last = this.frameCount || Math.round((this.lead.duration || 0) * this.fps);
    this.frame = Math.min(Math.max(0, frame), Math.max(0, last - 1));
    this.lead.pause();
    for (const one of this.media) one.currentTime = (this.frame + 0.5) / this.fps;
    this.#told();
  }

  stepFrame(count) {
    this.seekFrame(this.frame + count);
  }

  speedBy(steps) {
    const at = SPEEDS.findIndex((speed) => speed >= this.lead.playbackRate);
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + steps))]);
  }

  setSpeed(speed) {
    for (const one of this.media) one.playbackRate = speed;
    this.#told();
  }

  seek(seconds) {
    for (const one of this.media) one.currentTime = seconds;
    this.#told();
  }

  toggleSound() {
    this.lead.muted = !this.lead.muted;
    this.#told();
  }

  setLoop(edge) {
    const length = this.lead.duration || 0;
    const loop = { from: 0, to: length, ...this.#loop, [edge]: this.lead.currentTime };
    if (loop.from >= loop.to) loop[edge === "from" ? "to" : "from"] = edge === "from" ? length : 0;
    this.#loop = loop;
    this.#told();
  }

  clearLoop() {
    this.#loop = null;
    this.#told();
  }

  #follow(type) {
    if (type === "timeupdate") this.#watchLoop();
    for (const one of this.media.slice(1)) {
      if (type === "play") one.play().catch(() => this.lead.pause());
      if (type === "pause") one.pause();
      if (type === "ratechange") one.playbackRate = this.lead.playbackRate;
      const drift = Math.abs(one.currentTime - this.lead.currentTime);
      // A paused pair shows the same frame; while both run, a small drift costs less than a seek.
      if (type !== "ratechange" && !one.seeking && drift > (this.isPlaying ? 2 : 0.25) * DRIFT_SECONDS) {
        one.currentTime = this.lead.currentTime;
      }
    }
    if (type === "seeked" && !("requestVideoFrameCallback" in this.lead)) this.#at(this.lead.currentTime);
    this.#told();
  }

  #watchLoop() {
    const { from, to } = this.#loop ?? {};
    const now = this.lead.currentTime;
    if (to !== undefined && this.isPlaying && (now >= to || now < from)) this.lead.currentTime = from;
  }

  // The frame that is really shown, not the one that the clock would have it be.
  #watchFrames() {
    if (!("requestVideoFrameCallback" in this.lead)) {
      this.lead.addEventListener("timeupdate", () => this.#at(this.lead.currentTime));
      return;
    }
    const seen = (_, { mediaTime }) => {
      this.#at(mediaTime);
      this.#watchLoop();
      this.lead.requestVideoFrameCallback(seen);
    };
    this.lead.requestVideoFrameCallback(seen);
  }

  #at(seconds) {
    // A frame from before a seek may be told of after it was asked for: it is not where one is.
    if (this.lead.seeking || (this.lead.paused && Math.abs(seconds - this.lead.currentTime) > 1 / this.fps)) return;
    this.frame = Math.floor(seconds * this.fps + 0.001);
    this.#told();
  }

  #told() {
    this.dispatchEvent(new Event("change"));
  }
}

// What a key asks of a transport; answers whether it meant anything.
export function actOn(transport, action) {
  const acts = {
    play: () => transport.toggle(),
    frame_back: () => transport.stepFrame(-1),
    frame_forward: () => transport.stepFrame(1),
    slower: () => transport.speedBy(-1),
    faster: () => transport.speedBy(1),
    loop_from: () => transport.setLoop("from"),
    loop_to: () => transport.setLoop("to"),
    loop_clear: () => transport.clearLoop(),
    sound: () => transport.toggleSound(),
  };
  acts[action]?.();
  return action in acts;
}

export function controls(transport) {
  const isVideo = transport.lead instanceof HTMLVideoElement;
  const said = build("output", { class: "cc-frame", "aria-live": "off" });
  const button = (text, action, title) =>
    build("button", { type: "button", title, "aria-label": title, on: { click: () => actOn(transport, action) } }, text);
  const play = button("▶", "play", "Play or pause");
  const place = build("input", { type: "range", class: "cc-place", min: 0, max: 1, step: "any", value: 0, "aria-label": "Place" });
  place.addEventListener("input", () => transport.seek(Number(place.value)));
  const sound = button("♪", "sound", "Sound");
  const speed = build("select", { "aria-label": "Speed" }, ...SPEEDS.map((value) => build("option", { value, selected: value === 1 }, `${value}×`)));
  speed.addEventListener("change", () => transport.setSpeed(Number(speed.value)));
  transport.addEventListener("change", () => {
    const { loop, lead } = transport;
    play.textContent = transport.isPlaying ? "❚❚" : "▶";
    speed.value = String(lead.playbackRate);
    place.max = String(lead.duration || 1);
    place.value = String(lead.currentTime);
    sound.setAttribute("aria-pressed", String(!lead.muted));
    const range = loop ? ` · loop ${loop.from.toFixed(2)}–${loop.to.toFixed(2)} s` : "";
    said.value = (isVideo ? `frame ${transport.frame}` : `${lead.currentTime.toFixed(2)} s`) + range;
  });
  const frames = isVideo ? [button("⏴", "frame_back", "One frame back"), button("⏵", "frame_forward", "One frame on")] : [];
  return build(
    "div",
    { class: "cc-bar", role: "toolbar", "aria-label": "Playing" },
    play,
    place,
    ...frames,
    button("[", "loop_from", "Loop from here"),
    button("]", "loop_to", "Loop to here"),
    button("⟲", "loop_clear", "No loop"),
    speed,
    sound,
    said,
  );
}

class Video extends HTMLElement {
  connectedCallback() {
    const media = this.querySelector("video, audio");
    if (media && !this.closest("cc-viewer")) this.takeMedia(media);
  }

  takeMedia(media) {
    // Of a pair, the comparison moves both.
    if (this.transport || this.closest("cc-compare")) return;
    const { fps, frameCount } = this.dataset;
    this.transport = new Transport([media], { fps: Number(fps), frameCount: Number(frameCount) });
    // Our own controls stand below: those of the browser would be enlarged with the picture.
    Object.assign(media, { loop: true, controls: false });
    this.append(controls(this.transport));
    if (this.dataset.filmstrip) this.append(this.#filmstrip());
  }

  act(action) {
    return this.transport ? actOn(this.transport, action) : false;
  }

  // A click on the strip goes to that part of the film.
  #filmstrip() {
    const strip = build("img", { class: "cc-filmstrip", src: this.dataset.filmstrip, alt: "", draggable: false });
    strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      const seconds = ((event.clientX - box.left) / box.width) * (this.transport.lead.duration || 0);
      this.transport.seekFrame(Math.floor(seconds * this.transport.fps));
    });
    return strip;
  }
}

customElements.define("cc-video", Video);
