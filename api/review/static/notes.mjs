// <cc-notes>: notes with a point or a frame, pinned to what they are about.
import { build } from "./build.mjs";
import { say } from "./toasts.mjs";

class Notes extends HTMLElement {
  #arming = null;

  connectedCallback() {
    if (this.isSetUp) return;
    this.isSetUp = true;
    this.addEventListener("submit", (event) => this.#send(event));
    this.addEventListener("click", (event) => {
      const note = event.target.closest("[data-note]");
      if (note && !event.target.closest("button, a, input")) this.#show(note);
    });
    if (this.form) this.form.querySelector("button:not([type])")?.before(this.#pinButton());
    // The viewer stands before or after the notes: it is looked for once the page is whole.
    queueMicrotask(() => this.#pinAll());
  }

  get viewer() {
    return document.getElementById(this.dataset.for ?? "viewer");
  }

  get form() {
    return this.querySelector("form#note");
  }

  act(action) {
    if (action !== "comment" || !this.form) return false;
    this.#arm();
    this.form.elements.namedItem("text").focus();
    return true;
  }

  // The next click on the picture pins the note that is being written; a film gives it its frame.
  #arm() {
    const { stage, view, plane } = this.viewer ?? {};
    const transport = this.viewer?.querySelector("cc-video")?.transport ?? this.viewer?.closest("cc-video")?.transport;
    if (transport) this.form.elements.namedItem("frame").value = String(transport.frame);
    this.#disarm();
    if (!stage) return;
    stage.dataset.tool = "pin";
    this.#arming = new AbortController();
    stage.addEventListener(
      "click",
      (event) => {
        this.#disarm();
        const place = view.placeAt(stage, event.clientX, event.clientY);
        if (!place) return;
        this.form.elements.namedItem("x").value = place.x.toFixed(4);
        this.form.elements.namedItem("y").value = place.y.toFixed(4);
        plane.querySelector(".cc-draft")?.remove();
        plane.append(pin(place, "+", "cc-pin cc-draft"));
        this.form.elements.namedItem("text").focus();
      },
      { signal: this.#arming.signal },
    );
  }

  #disarm() {
    this.#arming?.abort();
    this.#arming = null;
    delete this.viewer?.stage?.dataset.tool;
  }

  #pinButton() {
    const button = build("button", { type: "button" }, "Pin it on the picture");
    button.addEventListener("click", () => {
      this.#arm();
      say("Now click the place.");
      this.viewer?.stage?.scrollIntoView({ block: "nearest" });
    });
    return button;
  }

  #pinAll() {
    const plane = this.viewer?.plane;
    if (!plane) return;
    for (const old of plane.querySelectorAll(".cc-pin")) old.remove();
    this.querySelectorAll("[data-note]").forEach((note, index) => {
      const { x, y, resolved } = note.dataset;
      if (!x || !y) return;
      const isResolved = Boolean(resolved) && resolved !== "false";
      const made = pin({ x: Number(x), y: Number(y) }, String(index + 1), isResolved ? "cc-pin cc-resolved" : "cc-pin");
      made.addEventListener("click", () => this.#show(note));
      plane.append(made);
      note.ccPin = made;
    });
  }

  #show(note) {
    const transport = document.querySelector("cc-video")?.transport;
    if (note.dataset.frame && transport) transport.seekFrame(Number(note.dataset.frame));
    for (const other of this.querySelectorAll(".cc-shown")) other.classList.remove("cc-shown");
    for (const other of this.viewer?.plane?.querySelectorAll(".cc-shown") ?? []) other.classList.remove("cc-shown");
    note.classList.add("cc-shown");
    note.ccPin?.classList.add("cc-shown");
    note.scrollIntoView({ block: "nearest" });
  }

  // Sent as the form itself would be; the list is taken from the page that answers, so the picture stays.
  async #send(event) {
    event.preventDefault();
    const form = event.target;
    const body = new URLSearchParams(new FormData(form, event.submitter));
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("cc-notes ol");
      if (!response.ok || !fresh) throw new Error(page.querySelector("main p")?.textContent ?? `The server answered ${response.status}.`);
      this.querySelector("ol").replaceWith(document.importNode(fresh, true));
    } catch (error) {
      say(error.message, { isProblem: true });
      return;
    }
    this.#disarm();
    this.form?.reset();
    for (const name of ["x", "y", "frame"]) if (form === this.form) form.elements.namedItem(name).value = "";
    this.#pinAll();
    say("Noted.");
  }
}

function pin({ x, y }, text, className) {
  const made = build("button", { type: "button", class: className, "aria-label": `Note ${text}` }, text);
  made.style.left = `${x * 100}%`;
  made.style.top = `${y * 100}%`;
  return made;
}

customElements.define("cc-notes", Notes);
