// Presses become actions, by the keymap; the overlay that explains them is made from the same map.
import { build } from "./build.mjs";
import { GROUPS, actionOf, keys, remap, reset, spelled } from "./keymap.mjs";
import { undoNewest } from "./decide.mjs";
import { moveInList, openCurrent, selectCurrent } from "./list.mjs";
import { visit } from "./visit.mjs";

const TYPED = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=range], [type=button], [type=submit], [type=file])";
const PRESSED = "a[href], button, summary, input, select";

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || event.target.closest?.(TYPED)) return;
    const key = spelled(event);
    // Enter and the space bar belong to whatever button or link has the focus, arrows to a slider.
    if (["Enter", "Space"].includes(key) && event.target.closest?.(PRESSED)) return;
    if (key.includes("Arrow") && event.target.closest?.("input, select")) return;
    const action = actionOf(key);
    if (action && perform(action)) event.preventDefault();
  });
}

// Answers whether the page had anything to do for `action`.
export function perform(action) {
  if (action === "help") return showOverlay(), true;
  if (action === "undo") return undoNewest();
  if (action === "next" && moveInList(1)) return true;
  if (action === "previous" && moveInList(-1)) return true;
  if (action === "open") return openCurrent();
  if (action === "select") return selectCurrent();
  if (["approve", "reject"].includes(action)) selectCurrent({ onlyIfNone: true });
  for (const part of document.querySelectorAll("cc-mask, cc-compare, cc-viewer, cc-video, cc-notes")) {
    if (part.act?.(action)) return true;
  }
  const marked = [...document.querySelectorAll(`[data-key-action="${action}"]`)].filter((one) => !one.disabled);
  const found = marked.find((one) => one.checkVisibility()) ?? marked.find((one) => one.closest("details:not([open])"));
  if (!found) return false;
  found.closest("details")?.toggleAttribute("open", true);
  if (found instanceof HTMLAnchorElement) visit(found);
  else if (found.matches("button, [type=submit], [type=button], summary")) found.click();
  else found.focus();
  return true;
}

function showOverlay() {
  const overlay = document.getElementById("overlay");
  if (!(overlay instanceof HTMLDialogElement)) return;
  draw(overlay);
  overlay.showModal();
}

function draw(overlay) {
  const map = keys();
  const groups = Object.entries(GROUPS).map(([title, actions]) =>
    build(
      "section",
      {},
      build("h3", {}, title),
      build("dl", {}, ...Object.entries(actions).flatMap(([action, [, words]]) => [build("dt", {}, keyButton(action, map[action], overlay)), build("dd", {}, words)])),
    ),
  );
  const back = build("button", { type: "button", on: { click: () => (reset(), draw(overlay)) } }, "Default keys");
  const close = build("button", { type: "button", autofocus: true, on: { click: () => overlay.close() } }, "Close");
  overlay.replaceChildren(
    build("div", { class: "cc-bar" }, build("h2", {}, "Keys"), back, close),
    build("p", {}, "Press a key's button, then the key that you would rather have. Keys rest while you type."),
    build("div", { class: "cc-keys" }, ...groups),
  );
  overlay.setAttribute("aria-label", "Keys");
}

function keyButton(action, key, overlay) {
  const button = build("button", { type: "button", class: "cc-key", "aria-label": `Change the key of ${action.replaceAll("_", " ")}, now ${key}` }, key);
  button.dataset.action = action;
  button.addEventListener("click", () => {
    button.textContent = "…";
    const take = (event) => {
      if (["Shift", "Alt", "Control", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      stop();
      if (event.key !== "Escape" && event.key !== "Tab") remap(action, spelled(event));
      draw(overlay);
      overlay.querySelector(`[data-action="${action}"]`)?.focus();
    };
    const stop = () => {
      overlay.removeEventListener("keydown", take, true);
      button.removeEventListener("blur", leave);
    };
    const leave = () => {
      stop();
      button.textContent = key;
    };
    overlay.addEventListener("keydown", take, true);
    button.addEventListener("blur", leave);
  });
  return button;
}
