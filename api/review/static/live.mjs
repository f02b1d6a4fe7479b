// <cc-live>: follows the audit trail. It refreshes regions and tells of newer versions; it never swaps what is looked at.
import { showRegions } from "./regions.mjs";

// Events come in bunches; however many come, the page is asked for once in a while.
const SETTLE_MS = 150;
const BETWEEN_MS = 1000;
const RETRY_MS = [500, 1000, 2000, 5000, 15_000];

class Live extends HTMLElement {
  #source = null;
  #tries = 0;
  #timers = {};
  #refreshedAt = -BETWEEN_MS;

  connectedCallback() {
    if (!this.dataset.events) return;
    this.seq = Number(this.dataset.after) || 0;
    this.onVisibility = () => (document.hidden ? this.#close("paused") : this.#open());
    // A browser allows six connections to one house: a tab that nobody sees gives its own back.
    document.addEventListener("visibilitychange", this.onVisibility);
    this.#open();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.#close("");
  }

  #open() {
    if (this.#source || document.hidden) return;
    const url = new URL(this.dataset.events, location.href);
    url.searchParams.set("after", String(this.seq));
    const source = (this.#source = new EventSource(url));
    source.addEventListener("open", () => {
      this.#tries = 0;
      this.#say("live");
    });
    source.addEventListener("message", (event) => this.#took(event));
    source.addEventListener("progress", (event) => this.#progress(event));
    source.addEventListener("error", () => this.#lost());
  }

  // Whatever ended the connection, the next one goes on after the last event that was seen.
  #lost() {
    this.#close("offline");
    const wait = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    this.#timers.retry = setTimeout(() => this.#open(), wait);
  }

  #close(state) {
    clearTimeout(this.#timers.retry);
    this.#source?.close();
    this.#source = null;
    this.#say(state);
  }

  #say(state) {
    this.dataset.state = state;
    const shown = this.querySelector("[data-live-state]");
    if (shown && shown.textContent !== state) shown.textContent = state;
  }

  #took(message) {
    const event = JSON.parse(message.data);
    if (event.seq <= this.seq) return;
    this.seq = event.seq;
    this.dataset.after = String(event.seq);
    this.#tellOfNewer(event);
    document.dispatchEvent(new CustomEvent("cc-event", { detail: event }));
    const wait = Math.max(SETTLE_MS, this.#refreshedAt + BETWEEN_MS - performance.now());
    this.#timers.refresh ??= setTimeout(() => this.#refresh(), wait);
  }

  #tellOfNewer(event) {
    const banner = document.querySelector("[data-newer-version]");
    const isNewer = ["captured", "edited"].includes(event.action) && event.workflow_id;
    if (banner && isNewer && event.workflow_id === banner.dataset.stepRun) banner.hidden = false;
  }

  #progress(message) {
    const told = JSON.parse(message.data);
    const { done, total } = told.progress ?? {};
    for (const shown of document.querySelectorAll("progress[data-step-run]")) {
      if (shown.dataset.stepRun !== told.workflow_id || !(total > 0)) continue;
      shown.max = total;
      shown.value = done;
    }
  }

  async #refresh() {
    this.#timers.refresh = null;
    this.#refreshedAt = performance.now();
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!response.ok) return;
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      showRegions(page);
    } catch {
      this.#say("offline"); // The next event, or the reconnection, tries again.
    }
  }
}

customElements.define("cc-live", Live);
