// A decision is held for a few seconds before it is sent, so that it can be undone; then its result is told.
import { build } from "./build.mjs";
import { say } from "./toasts.mjs";
import { go } from "./visit.mjs";

const DEFAULT_HOLD_SECONDS = 4;
const WORDS = { approve: "Approved", reject: "Rejected", regenerate: "Sent back", pick: "Approved the kept" };

// By request id, in the order in which they were taken.
const held = new Map();

export function listen() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || !["decide", "several"].includes(form.id)) return;
    event.preventDefault();
    if (form.id === "decide") take(form, event.submitter);
    else takeSeveral(form, event.submitter);
  });
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("#decide, #several");
    if (!form || event.target.name !== "reason") return;
    if (event.key === "Escape") event.target.blur();
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector(`button[name=verdict][value="${form.dataset.intent ?? "reject"}"]`));
  });
  // Whoever leaves has decided: nothing that was held is lost.
  addEventListener("pagehide", () => [...held.values()].forEach((one) => one.send({ isLeaving: true })));
}

export function isHeld(page) {
  const id = page.querySelector('#decide input[name="request_id"]')?.value;
  return id !== undefined && held.has(id);
}

export function undoNewest() {
  const newest = [...held.values()].at(-1);
  newest?.undo();
  return newest !== undefined;
}

function take(form, submitter) {
  const verdict = submitter?.value ?? "approve";
  const reason = form.elements.namedItem("reason");
  if (verdict === "reject" && reason && !reason.value.trim() && form.dataset.intent !== "reject") {
    form.dataset.intent = "reject";
    reason.focus();
    say("Say what should be different, then press Ctrl+Enter; once more without words rejects as it is.");
    return;
  }
  const data = bodyOf(form, submitter);
  const id = data.get("request_id") ?? form.action;
  if (held.has(id)) return;
  const from = location.href;
  hold(form, id, `${WORDS[verdict] ?? "Decided"}: ${document.querySelector("h1")?.textContent ?? ""}`, {
    undone: () => location.href !== from && go(from),
    send: (isLeaving) => post(form, data, isLeaving),
    told: (answer) => {
      say(answer.message);
      if (location.href !== from) return;
      if (answer.next) go(new URL(answer.next, from).href);
      else go(from, { isBack: true });
    },
    refused: (problem) =>
      say(problem, { isProblem: true, actions: [build("a", { href: from }, "Look at it again")] }),
  });
  const next = document.querySelector('a[data-key-action="next"][href]');
  if (next) go(next.href, { isSeeking: true });
}

function takeSeveral(form, submitter) {
  const data = bodyOf(form, submitter);
  const items = data.getAll("item");
  // The page may decide several times; each is a write of its own.
  data.set("idempotency_key", [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  if (items.length === 0) {
    say("Nothing is selected yet.");
    return;
  }
  const verdict = submitter?.value ?? "approve";
  hold(form, `several ${items.join(" ")}`, `${WORDS[verdict] ?? "Decided"}: ${items.length} selected`, {
    undone: () => {},
    send: (isLeaving) => post(form, data, isLeaving),
    told: ({ results }) => tellResults(form, results),
    refused: (problem) => say(problem, { isProblem: true }),
  });
}

function tellResults(form, results) {
  const refused = results.filter((one) => !one.accepted);
  for (const one of results) {
    const box = [...document.querySelectorAll("input[name=item]")].find((item) =>
      item.value.split(" ").some((word) => [one.request_id, one.artifact_id].includes(word)),
    );
    const item = box?.closest("[data-item]");
    if (!item) continue;
    item.dataset.result = one.accepted ? "accepted" : "refused";
    let said = item.querySelector(".cc-result");
    if (!said) item.append((said = build("p", { class: "cc-result" })));
    said.textContent = one.message;
    box.checked = false;
    box.disabled = one.accepted;
  }
  form.reset();
  const accepted = results.length - refused.length;
  if (refused.length === 0) say(`${accepted} decided.`);
  else say(`${accepted} decided, ${refused.length} refused: ${refused.map((one) => one.message).join(" · ")}`, { isProblem: true });
}

// Waits, with a bar that can undo; every end takes the entry out of `held` exactly once.
function hold(form, id, words, { undone, send, told, refused }) {
  const seconds = Number(form.dataset.holdSeconds) || DEFAULT_HOLD_SECONDS;
  const undo = build("button", { type: "button", class: "cc-undo" }, "Undo");
  const toast = say(words, { actions: [undo], stays: true });
  const entry = {
    undo() {
      if (!leave()) return;
      say("Undone: nothing was sent.");
      undone();
    },
    async send({ isLeaving = false } = {}) {
      if (!leave()) return;
      try {
        told(await send(isLeaving));
      } catch (error) {
        refused(error.message);
      }
    },
  };
  const timer = setTimeout(() => entry.send(), seconds * 1000);
  const leave = () => {
    clearTimeout(timer);
    toast.remove();
    return held.delete(id);
  };
  undo.addEventListener("click", () => entry.undo());
  held.set(id, entry);
}

function bodyOf(form, submitter) {
  const data = new URLSearchParams();
  for (const [name, value] of new FormData(form, submitter)) if (typeof value === "string") data.append(name, value);
  data.set("confirmed", "yes");
  return data;
}

async function post(form, data, isLeaving) {
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" }, keepalive: isLeaving });
  } catch {
    throw new Error("The server was not reached, so nothing was decided. Try again.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error([answer.detail ?? `The server answered ${response.status}.`, answer.hint].filter(Boolean).join(" "));
  return answer;
}
