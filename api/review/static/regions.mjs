// The parts of a page that may change under a reader, and how newer ones take their place.

export function showRegions(page) {
  for (const fresh of page.querySelectorAll("[data-live-region][id]")) {
    const shown = document.getElementById(fresh.id);
    const focused = shown?.contains(document.activeElement) ? document.activeElement : null;
    // What one writes in stays, and so does what has not changed.
    if (!shown || shown.isEqualNode(fresh) || focused?.matches("input:not([type=checkbox]), textarea, select")) continue;
    const kept = marks(shown);
    const taken = document.importNode(fresh, true);
    shown.replaceWith(taken);
    restore(taken, kept);
    if (focused) same(taken, focused)?.focus({ preventScroll: true });
  }
}

const same = (region, element) =>
  [...region.querySelectorAll("a[href], input, button")].find(
    (one) => one.getAttribute("href") === element.getAttribute("href") && one.name === element.name && one.value === element.value,
  );

// The current item and the selection of a list are the reader's, not the page's.
function marks(region) {
  const current = region.querySelector('[aria-current="true"] a[data-open]')?.getAttribute("href") ?? null;
  return { current, selected: new Set([...region.querySelectorAll("input[name=item]:checked")].map((box) => box.value)) };
}

function restore(region, { current, selected }) {
  for (const box of region.querySelectorAll("input[name=item]")) box.checked ||= selected.has(box.value);
  const items = [...region.querySelectorAll("[data-item]")];
  const found = items.find((item) => current && item.querySelector("a[data-open]")?.getAttribute("href") === current);
  if (!found) return;
  for (const item of items) item.removeAttribute("aria-current");
  found.setAttribute("aria-current", "true");
}
