// An edited file that is dropped, pasted or chosen lands in the edit form and waits there for its button.
import { say } from "./toasts.mjs";

export function listen() {
  document.addEventListener("dragover", (event) => {
    const zone = event.target.closest?.("[data-drop]");
    if (!zone || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("cc-over");
  });
  document.addEventListener("dragleave", (event) => event.target.closest?.("[data-drop]")?.classList.remove("cc-over"));
  document.addEventListener("drop", (event) => {
    const zone = event.target.closest?.("[data-drop]");
    const file = event.dataTransfer?.files[0];
    if (!zone || !file) return;
    event.preventDefault();
    zone.classList.remove("cc-over");
    offer(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file || !document.getElementById("edit")) return;
    event.preventDefault();
    offer(file);
  });
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input instanceof HTMLInputElement && input.type === "file" && input.form?.id === "edit" && input.files[0]) warn(input.files[0]);
  });
}

// Puts `file` into the form `id`; its button, which has the focus then, sends it.
export function offer(file, id = "edit") {
  const form = document.getElementById(id);
  const input = form?.querySelector("input[type=file]");
  if (!input) return;
  const list = new DataTransfer();
  list.items.add(file);
  input.files = list.files;
  for (let details = form.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
  (form.querySelector("button[type=submit], button:not([type])") ?? input).focus();
  say(`${file.name} is ready: look at it, then send it with its button.`);
  warn(file);
}

// The server judges what was changed; a size that differs is better known before it is sent.
async function warn(file) {
  const viewer = document.getElementById("viewer");
  const [width, height] = [Number(viewer?.dataset.width), Number(viewer?.dataset.height)];
  if (!width || !height || !file.type.startsWith("image/")) return;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return say(`This browser cannot read ${file.name} as a picture.`, { isProblem: true });
  }
  if (bitmap.width !== width || bitmap.height !== height) {
    say(`${file.name} is ${bitmap.width} × ${bitmap.height}, the version before it ${width} × ${height}.`, { isProblem: true });
  }
  bitmap.close();
}
