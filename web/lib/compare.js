// @ts-check
// Two pictures of the same thing in full resolution, one over the other, with a line to move.

import { addStyle, BOX, FOCUS, make } from "./dom.js";
import { t } from "./texts.js";

const STYLE = `
.upscale-bridge-compare {
  width: 100vw; height: 100vh; max-width: none; max-height: none; margin: 0; padding: 0;
  border: none; overflow: hidden; color: #eee; background: #111; font-family: inherit; font-size: 0.9rem;
  & .stage { position: absolute; inset: 0; overflow: hidden; touch-action: none; cursor: grab; }
  & .stage img { position: absolute; left: 0; top: 0; transform-origin: 0 0; max-width: none; }
  & .line {
    position: absolute; top: 0; bottom: 0; width: 2.75rem; margin-left: -1.375rem;
    cursor: ew-resize; touch-action: none;
    &::before { content: ""; position: absolute; inset: 0 calc(50% - 1px); background: #fff;
      box-shadow: 0 0 4px #000; }
    &::after { content: "\\2194"; position: absolute; top: calc(50% - 1.1rem); left: 0.275rem;
      width: 2.2rem; height: 2.2rem; line-height: 2.2rem; text-align: center; border-radius: 50%;
      color: #111; background: #fff; box-shadow: 0 0 4px #000; }
    &:focus-visible { outline: none; }
    &:focus-visible::after { ${FOCUS} }
  }
  & .bar { position: absolute; left: 1rem; right: 1rem; bottom: 1rem; display: flex; gap: 0.5rem;
    align-items: center; justify-content: center; flex-wrap: wrap; }
  & .bar > * { ${BOX} display: flex; align-items: center; box-sizing: border-box;
    min-height: 2.25rem; color: #eee; background: rgb(0 0 0 / 75%); border-color: transparent; }
  & .bar > button { cursor: pointer; border-color: #888; }
  & button:focus-visible { ${FOCUS} }
}`;
const MOST_ZOOM = 16;

/** Where a picture lies in the stage: a pixel (x, y) is at (left + x * zoom, top + y * zoom). */
export class Place {
  /** @param {number} width @param {number} height of the picture, pixels */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.left = 0;
    this.top = 0;
    this.zoom = 1;
  }

  /** Show all of it. @param {number} width @param {number} height of the stage */
  fit(width, height) {
    this.zoom = Math.min(width / this.width, height / this.height);
    this.left = (width - this.width * this.zoom) / 2;
    this.top = (height - this.height * this.zoom) / 2;
  }

  /** Zoom by a factor about a point of the stage. @param {number} factor @param {number} x @param {number} y */
  scale(factor, x, y) {
    const least = Math.min(64 / Math.max(this.width, this.height), 1);
    const zoom = Math.min(Math.max(this.zoom * factor, least), MOST_ZOOM);
    this.left = x - ((x - this.left) * zoom) / this.zoom;
    this.top = y - ((y - this.top) * zoom) / this.zoom;
    this.zoom = zoom;
  }
}

/** @param {string} source @returns {Promise<HTMLImageElement>} */
const load = async (source) => {
  const image = make("img", { src: source, draggable: false, alt: "" });
  await image.decode();
  return image;
};

/** Open the view. @param {string} before @param {string} after addresses of the two pictures */
export async function compare(before, after) {
  addStyle("upscale-bridge-compare-style", STYLE);
  const [small, large] = await Promise.all([load(before), load(after)]);
  const place = new Place(large.naturalWidth, large.naturalHeight);
  let share = 0.5;

  const line = make("div", {
    ...{ className: "line", tabIndex: 0, role: "slider", "aria-label": t("Before and after") },
    ...{ "aria-valuemin": 0, "aria-valuemax": 100 },
  });
  const stage = make("div", { className: "stage" }, small, large, line);
  const told = make("output", {});
  const button = (/** @type {string} */ text, /** @type {() => void} */ work) => {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", work);
    return made;
  };
  const size = () => [stage.clientWidth, stage.clientHeight];
  const draw = () => {
    const [width] = size();
    const ratio = place.width / small.naturalWidth;
    const move = `translate(${place.left}px, ${place.top}px)`;
    large.style.transform = `${move} scale(${place.zoom})`;
    small.style.transform = `${move} scale(${place.zoom * ratio})`;
    small.style.imageRendering = large.style.imageRendering = place.zoom >= 2 ? "pixelated" : "auto";
    const cut = (width * share - place.left) / place.zoom;
    large.style.clipPath = `inset(0 0 0 ${Math.min(Math.max(cut, 0), place.width)}px)`;
    line.style.left = `${100 * share}%`;
    line.setAttribute("aria-valuenow", Math.round(100 * share));
    told.textContent = `${place.width} × ${place.height} px, ${Math.round(100 * place.zoom)} %`;
  };
  const zoom = (/** @type {number} */ factor, x = size()[0] / 2, y = size()[1] / 2) => {
    place.scale(factor, x, y);
    draw();
  };
  const fit = () => {
    place.fit(size()[0], size()[1]);
    draw();
  };
  const dialog = make(
    "dialog",
    { className: "upscale-bridge-compare", "aria-label": t("Before and after") },
    stage,
    make(
      "div",
      { className: "bar" },
      make("span", {}, t("Before, after")),
      told,
      button("−", () => zoom(0.8)),
      button("+", () => zoom(1.25)),
      button("1:1", () => zoom(1 / place.zoom)),
      button(t("Fit"), fit),
      button(t("Close"), () => dialog.close()),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation(); // not for ComfyUI's shortcuts
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step !== undefined) share = Math.min(Math.max(share + step, 0), 1);
    if (event.key === "+" || event.key === "=") place.scale(1.25, size()[0] / 2, size()[1] / 2);
    if (event.key === "-") place.scale(0.8, size()[0] / 2, size()[1] / 2);
    if (event.key === "0") place.fit(size()[0], size()[1]);
    draw();
  });
  stage.addEventListener(
    "wheel",
    (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      zoom(1.0015 ** -event.deltaY, event.clientX, event.clientY);
    },
    { passive: false },
  );
  const fingers = new Map();
  let held = false; // the line, by one of the fingers
  stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    held = event.target === line;
  });
  stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX, event.clientY];
    fingers.set(event.pointerId, [x, y]);
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const far = (/** @type {number[]} */ at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
      place.scale(far([x, y]) / Math.max(far(before), 1), other[0], other[1]);
    } else if (held) {
      share = Math.min(Math.max(x / size()[0], 0), 1);
    } else {
      place.left += x - before[0];
      place.top += y - before[1];
    }
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (/** @type {PointerEvent} */ event) => fingers.delete(event.pointerId));
  }
  document.body.append(dialog);
  dialog.showModal();
  fit();
  line.focus();
}
