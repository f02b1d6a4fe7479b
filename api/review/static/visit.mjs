// Going to the next artifact within a frame or two: its page and picture are fetched before the key is pressed.
import { isHeld } from "./decide.mjs";
import { showRegions } from "./regions.mjs";
import { say } from "./toasts.mjs";

// How far ahead; a page that is older than this is fetched again, and an event forgets those that it concerns.
const AHEAD = 3;
const FRESH_MS = 60_000;
const GOES = ["next", "previous", "older", "newer"];
const REFETCH_MS = 300;

const pages = new Map();
let refetching = 0;

export function listen() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-key-action]");
    if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (!isSoft(link)) return;
    event.preventDefault();
    visit(link);
  });
  addEventListener("popstate", () => go(location.href, { isBack: true }));
  document.addEventListener("cc-event", (event) => forget(event.detail));
  prefetch();
}

// What happened to a step makes its page old, and the page that leads to it; what has no step, all of them.
function forget({ workflow_id: step }) {
  const aboutStep = (page) => !step || (page && stepOf(page) === step);
  for (const [url, { page }] of [...pages]) {
    if (aboutStep(page) || aboutStep(pages.get(nextLink(page))?.page)) pages.delete(url);
  }
  clearTimeout(refetching);
  refetching = setTimeout(prefetch, REFETCH_MS);
}

const stepOf = (page) => page.querySelector("[data-newer-version]")?.dataset.stepRun;

export function visit(link) {
  if (isSoft(link)) go(link.href, { isSeeking: link.dataset.keyAction === "next" });
  else location.assign(link.href);
}

function isSoft(link) {
  return link.origin === location.origin && GOES.includes(link.dataset.keyAction) && document.body.dataset.page === "artifact";
}

// `isSeeking`: the next that waits is meant, so that what was decided in the meantime is passed over.
export async function go(url, { isBack = false, isSeeking = false } = {}) {
  let page = pages.get(url)?.page ?? (await fetched(url));
  for (const passed = new Set([url]); isSeeking && page && isHeld(page); passed.add(url)) {
    url = nextLink(page);
    if (!url || passed.has(url)) return say("Everything else that waits is decided.");
    page = pages.get(url)?.page ?? (await fetched(url));
  }
  const main = page?.querySelector("main");
  // Another kind of page, a login or an error: the browser shows it as it always does.
  if (!main || page.body.dataset.page !== "artifact") return location.assign(url);
  if (isSeeking && document.getElementById("decide") && !page.getElementById("decide")) {
    return location.assign(`/review/next${new URL(url).search}`);
  }
  pages.delete(url);
  // Before the picture is asked for: relative addresses are taken from the address of the page.
  if (!isBack) history.pushState(null, "", url);
  document.title = page.title;
  document.querySelector("main").replaceWith(document.importNode(main, true));
  showRegions(page);
  scrollTo(0, 0);
  // As after a load: a screen reader begins with what is new.
  document.getElementById("main")?.focus({ preventScroll: true });
  // What lies ahead waits until this one is painted.
  requestAnimationFrame(() => requestAnimationFrame(() => prefetch()));
}

async function prefetch() {
  if (document.body.dataset.page !== "artifact" || navigator.connection?.saveData) return;
  let url = nextLink(document);
  for (let ahead = 0; url && url !== location.href && ahead < AHEAD; ahead++) {
    const known = pages.get(url);
    if (!known || performance.now() - known.at > FRESH_MS) {
      const page = await fetched(url);
      if (!page) return;
      pages.set(url, { page, at: performance.now(), pictures: pictures(page, url) });
    }
    url = nextLink(pages.get(url)?.page);
  }
  for (const [other, { at }] of pages) if (performance.now() - at > FRESH_MS) pages.delete(other);
}

// Loaded and decoded now; kept, so that the browser does not forget them before they are shown.
function pictures(page, base) {
  return [...page.querySelectorAll("cc-viewer img[src]")].map((found) => {
    const picture = new Image();
    picture.src = new URL(found.getAttribute("src"), base).href;
    picture.decode().catch(() => picture); // Shown as broken where it belongs, if it still is then.
    return picture;
  });
}

async function fetched(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return null; // Offline: the visit itself shows what is wrong.
  }
}

function nextLink(page) {
  const link = page?.querySelector('a[data-key-action="next"][href]');
  return link ? new URL(link.getAttribute("href"), location.href).href : null;
}
