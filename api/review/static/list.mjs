// Lists: moving the current item, opening it, selecting one or a range.

let lastBox = null;

export function listen() {
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "item") return;
    const boxes = all();
    const [a, b] = [boxes.indexOf(lastBox), boxes.indexOf(box)];
    if (event.shiftKey && a >= 0 && b >= 0) {
      for (const one of boxes.slice(Math.min(a, b), Math.max(a, b) + 1)) one.checked = box.checked && !one.disabled;
    }
    lastBox = box;
  });
}

const all = () => [...document.querySelectorAll("[data-item] input[name=item]")];
const items = () => [...document.querySelectorAll("[data-item]")].filter((item) => item.checkVisibility());
const current = () => items().find((item) => item.getAttribute("aria-current") === "true");

// Answers false where the page has no list, so that the key may mean something else.
export function moveInList(by) {
  const found = items();
  if (found.length === 0) return false;
  const at = found.indexOf(current());
  const next = found[at < 0 ? 0 : Math.min(found.length - 1, Math.max(0, at + by))];
  for (const item of found) item.removeAttribute("aria-current");
  next.setAttribute("aria-current", "true");
  next.querySelector("a[data-open]")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

export function openCurrent() {
  const link = (current() ?? items()[0])?.querySelector("a[data-open]");
  link?.click();
  return Boolean(link);
}

// Turns the current item's box; with `onlyIfNone` only on, and only where nothing else is selected.
export function selectCurrent({ onlyIfNone = false } = {}) {
  if (!current() && !onlyIfNone) moveInList(1);
  const box = current()?.querySelector("input[name=item]:not(:disabled)");
  if (!box || (onlyIfNone && all().some((one) => one.checked))) return false;
  box.checked = onlyIfNone || !box.checked;
  box.dispatchEvent(new Event("change", { bubbles: true }));
  lastBox = box;
  return true;
}
