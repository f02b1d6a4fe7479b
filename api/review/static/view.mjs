// Where one looks: scale and offset over a picture of width × height pixels, shared by every stage that shows it.

const LARGEST = 64;

export class View extends EventTarget {
  #stages = new Map();
  #observer = new ResizeObserver(() => this.#resized());
  #isFitted = true;

  constructor(width, height) {
    super();
    this.width = width || 1;
    this.height = height || 1;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
  }

  // `plane` is what moves inside `stage`, which clips it and takes the pointer.
  attach(stage, plane) {
    this.#stages.set(stage, plane);
    this.#observer.observe(stage);
    takePointer(stage, this);
    this.#resized();
  }

  release() {
    this.#observer.disconnect();
    this.#stages.clear();
  }

  get isFitted() {
    return this.#isFitted;
  }

  setSize(width, height) {
    if (!width || !height || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    this.#resized();
  }

  fit() {
    const box = this.#box();
    if (!box.width || !box.height) return;
    this.#isFitted = true;
    this.scale = this.#fitting(box);
    this.x = (box.width - this.width * this.scale) / 2;
    this.y = (box.height - this.height * this.scale) / 2;
    this.#show();
  }

  // One pixel of the picture on one pixel of the screen.
  actual(point = this.#middle()) {
    this.zoomTo(1 / window.devicePixelRatio, point);
  }

  zoomBy(factor, point = this.#middle()) {
    this.zoomTo(this.scale * factor, point);
  }

  zoomTo(scale, point = this.#middle()) {
    const wanted = Math.min(LARGEST, Math.max(this.#fitting(this.#box()) / 4, scale));
    this.x = point.x - ((point.x - this.x) * wanted) / this.scale;
    this.y = point.y - ((point.y - this.y) * wanted) / this.scale;
    this.scale = wanted;
    this.#isFitted = false;
    this.#show();
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#isFitted = false;
    this.#show();
  }

  // The place under a client point, as 0 to 1 of the picture; null outside of it.
  placeAt(stage, clientX, clientY) {
    const box = stage.getBoundingClientRect();
    const x = (clientX - box.left - this.x) / (this.width * this.scale);
    const y = (clientY - box.top - this.y) / (this.height * this.scale);
    return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
  }

  #fitting(box) {
    return Math.min(box.width / this.width, box.height / this.height) || 1;
  }

  #box() {
    const [stage] = this.#stages.keys();
    return { width: stage?.clientWidth ?? 0, height: stage?.clientHeight ?? 0 };
  }

  #middle() {
    const box = this.#box();
    return { x: box.width / 2, y: box.height / 2 };
  }

  #resized() {
    if (this.#isFitted) this.fit();
  }

  #show() {
    // Kept within reach: a corner of the picture never leaves the stage for good.
    const box = this.#box();
    const margin = 32;
    this.x = Math.min(box.width - margin, Math.max(margin - this.width * this.scale, this.x));
    this.y = Math.min(box.height - margin, Math.max(margin - this.height * this.scale, this.y));
    // On whole pixels of the screen, or 1:1 would be blurred.
    const snapped = (length) => Math.round(length * window.devicePixelRatio) / window.devicePixelRatio;
    for (const [stage, plane] of this.#stages) {
      plane.style.width = `${this.width}px`;
      plane.style.height = `${this.height}px`;
      plane.style.transform = `translate(${snapped(this.x)}px, ${snapped(this.y)}px) scale(${this.scale})`;
      plane.style.setProperty("--cc-inverse", String(1 / this.scale));
      plane.classList.toggle("cc-pixels", this.scale * window.devicePixelRatio >= 2);
      // A fitted picture lets a finger scroll the page; an enlarged one is dragged.
      stage.style.touchAction = this.#isFitted ? "pan-y" : "none";
    }
    this.dispatchEvent(new Event("change"));
  }
}

// One finger or the mouse drags, two fingers and the wheel zoom, a double click goes between fit and 1:1.
function takePointer(stage, view) {
  const pointers = new Map();
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button, a, input")) return;
    pointers.set(event.pointerId, at(event));
    if (event.pointerType === "mouse") stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before || stage.dataset.tool) return;
    const now = at(event);
    if (pointers.size === 2) {
      const was = spread();
      pointers.set(event.pointerId, now);
      const is = spread();
      view.panBy(is.x - was.x, is.y - was.y);
      if (was.distance > 0) view.zoomBy(is.distance / was.distance, is);
    } else {
      pointers.set(event.pointerId, now);
      if (event.pointerType === "mouse" || !view.isFitted) view.panBy(now.x - before.x, now.y - before.y);
    }
  });
  for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
    stage.addEventListener(type, (event) => pointers.delete(event.pointerId));
  }
  stage.addEventListener(
    "wheel",
    (event) => {
      // The wheel scrolls the page until the picture has the focus, as a map does.
      if (!event.ctrlKey && !event.metaKey && !stage.contains(document.activeElement)) return;
      event.preventDefault();
      view.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), at(event));
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", (event) => {
    if (stage.dataset.tool) return;
    if (view.isFitted) view.actual(at(event));
    else view.fit();
  });
}
