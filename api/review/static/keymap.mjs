// The one map of keys: what each does, in which group it is explained, and what a reviewer has changed.

const STORED = "comfychain.keys";

export const GROUPS = {
  "Go": { next: ["J", "Next"], previous: ["K", "Previous"], queue: ["Q", "The queue"], older: ["Shift+ArrowLeft", "Older version"], newer: ["Shift+ArrowRight", "Newer version"], open: ["Enter", "Open what is current in a list"] },
  "Decide": { approve: ["A", "Approve"], reject: ["X", "Reject"], regenerate: ["R", "Regenerate"], edit: ["E", "Replace by an edited file"], comment: ["C", "Comment, or pin a note"], undo: ["U", "Undo, while a decision is held"], select: ["S", "Select, to decide several"], download: ["Shift+D", "Download"] },
  "Picture": { fit: ["F", "Fit"], actual: ["1", "One pixel on one pixel"], zoom_in: ["+", "Larger"], zoom_out: ["-", "Smaller"], pan_left: ["ArrowLeft", "Move left"], pan_right: ["ArrowRight", "Move right"], pan_up: ["Alt+ArrowUp", "Move up"], pan_down: ["Alt+ArrowDown", "Move down"], background: ["B", "Background under transparency"], wrap: ["Shift+W", "Wrap lines of text"] },
  "Film and sound": { play: ["Space", "Play or pause"], frame_back: [",", "One frame back"], frame_forward: [".", "One frame on"], slower: ["<", "Slower"], faster: [">", "Faster"], loop_from: ["[", "Loop from here"], loop_to: ["]", "Loop to here"], loop_clear: ["\\", "No loop"], sound: ["N", "Sound on or off"] },
  "Compare": { compare: ["V", "Compare"], mode_wipe: ["W", "Wipe"], mode_side: ["2", "Side by side"], mode_overlay: ["O", "Overlay"], mode_difference: ["D", "Difference"], mode_flicker: ["L", "Flicker"], swap: ["T", "The other one"] },
  "Help": { help: ["?", "This overview"] },
};

const DEFAULTS = Object.fromEntries(
  Object.values(GROUPS).flatMap((group) => Object.entries(group).map(([action, [key]]) => [action, key])),
);

// What was pressed, in the map's words. Shift stands only beside a letter or a named key: "?" is already shifted.
export function spelled(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const isShifted = event.shiftKey && (/^[A-Z]$/.test(key) || key.length > 1);
  return [event.altKey && "Alt", isShifted && "Shift", key].filter(Boolean).join("+");
}

function changes() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    return Object.fromEntries(Object.entries(stored).filter(([action, key]) => action in DEFAULTS && typeof key === "string"));
  } catch {
    return {}; // Storage that is closed to us, or was written by something else: the defaults hold.
  }
}

export function keys() {
  return { ...DEFAULTS, ...changes() };
}

export function actionOf(key) {
  return Object.entries(keys()).find(([, own]) => own === key)?.[0] ?? null;
}

// Gives `action` the key; whoever had it takes the one that becomes free.
export function remap(action, key) {
  const map = keys();
  const loser = Object.keys(map).find((other) => other !== action && map[other] === key);
  const changed = { ...changes(), [action]: key };
  if (loser) changed[loser] = map[action];
  localStorage.setItem(STORED, JSON.stringify(changed));
}

export function reset() {
  localStorage.removeItem(STORED);
}
