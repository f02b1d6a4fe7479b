// <cc-params>: says which values differ from what made this version, and gives them back; keeps the seed's choice whole.
import { build } from "./build.mjs";

class Params extends HTMLElement {
  connectedCallback() {
    if (this.isSetUp) return;
    this.isSetUp = true;
    for (const field of this.querySelectorAll("[data-original]")) this.#offerReset(field);
    const seed = this.querySelector('input[name="seed"]');
    // Whoever writes a seed means it.
    seed?.addEventListener("input", () => {
      const own = this.querySelector('input[name="seed_mode"][value="number"]');
      if (own && seed.value !== "") own.checked = true;
    });
    this.addEventListener("input", () => this.#tell());
    this.addEventListener("change", () => this.#tell());
    this.#tell();
  }

  #offerReset(field) {
    const reset = build("button", { type: "button", class: "cc-reset", hidden: true, "aria-label": `Back to the value of ${field.name.replace("parameter:", "")}` }, "↺");
    reset.addEventListener("click", () => {
      const original = JSON.parse(field.dataset.original);
      if (field.type === "checkbox") field.checked = Boolean(original);
      else field.value = typeof original === "string" ? original : JSON.stringify(original);
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    });
    field.after(reset);
    field.ccReset = reset;
  }

  #tell() {
    for (const field of this.querySelectorAll("[data-original]")) {
      const isChanged = differs(field);
      field.ccReset.hidden = !isChanged;
      const said = (field.closest("label, p, div, li, fieldset") ?? this).querySelector("output[data-changed]");
      const words = isChanged ? `was ${shown(JSON.parse(field.dataset.original))}` : "";
      if (said && said.value !== words) said.value = words;
    }
    const mode = this.querySelector('input[name="seed_mode"]:checked')?.value;
    const seed = this.querySelector('input[name="seed"]');
    if (seed) seed.required = mode === "number";
  }
}

function differs(field) {
  const original = JSON.parse(field.dataset.original);
  if (field.type === "checkbox") return field.checked !== Boolean(original);
  if (typeof original === "number") return field.value === "" || Number(field.value) !== original;
  if (typeof original === "string") return field.value !== original;
  return field.value !== JSON.stringify(original);
}

const shown = (value) => (typeof value === "string" ? value || "empty" : JSON.stringify(value));

customElements.define("cc-params", Params);
