// What is said for a moment, in the page's live region, so that screen readers hear it too.
import { build } from "./build.mjs";

const SHOWN_MS = 8000;

// Says `message`; `actions` are buttons or links after it. Stays until closed where `stays`; returns the toast.
export function say(message, { actions = [], stays = false, isProblem = false } = {}) {
  const toast = build("div", { class: isProblem ? "cc-toast cc-problem" : "cc-toast" }, build("p", {}, message), ...actions);
  if (isProblem) toast.setAttribute("role", "alert");
  toast.append(build("button", { type: "button", class: "cc-close", "aria-label": "Close", on: { click: () => toast.remove() } }, "×"));
  document.getElementById("toasts")?.append(toast);
  if (!stays && !isProblem) setTimeout(() => toast.remove(), SHOWN_MS);
  return toast;
}
