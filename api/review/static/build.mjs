// Elements in one line each. Text is always text: nothing here parses markup.

export function build(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// A labelled range whose listener gets the number.
export function slider(label, { min, max, step, value }, changed) {
  const input = build("input", { type: "range", min, max, step, value });
  input.addEventListener("input", () => changed(Number(input.value)));
  return { input, element: build("label", { class: "cc-slider" }, build("span", {}, label), input) };
}
