// @ts-check
// The one picture in a node's panel: while a run goes on its newest tile, then before and after.

import { compare } from "./compare.js";
import { make } from "./dom.js";
import { t } from "./texts.js";

const STEP = 0.05; // of the width, by an arrow key
const DRAGGED = 5; // pixels from which on a press is no click

/** A place for pictures, as high as the first of them needs. */
export class Picture {
  /** @param {() => void} lost called when the pictures are gone */
  constructor(lost) {
    this.lost = lost;
    this.tile = make("img", { className: "tile", alt: "", hidden: true });
    this.pair = make("div", { className: "pair", hidden: true });
    this.element = make("div", { className: "picture", hidden: true }, this.pair, this.tile);
  }

  /** Show a finished tile until the run ends. @param {string} address */
  show(address) {
    this.tile.src = address;
    [this.tile.hidden, this.pair.hidden, this.element.hidden] = [false, true, false];
  }

  /** Take the tile away; what the last run has made is seen again. */
  end() {
    this.tile.hidden = true;
    this.pair.hidden = !this.pair.firstChild;
    this.element.hidden = this.pair.hidden;
  }

  /** Take all away. */
  clear() {
    this.pair.replaceChildren();
    this.end();
  }

  /**
   * Show a result over its original, from a line on that follows the pointer.
   * @param {string} before @param {string} after addresses
   * @param {number[]} size of the result, pixels
   */
  compare(before, after, [width, height]) {
    this.element.style.aspectRatio = `${width} / ${height}`;
    const line = make("i", { "aria-hidden": "true" });
    const button = make(
      "button",
      { type: "button", "aria-label": t("Compare before and after") },
      make("img", { src: before, alt: t("Before"), draggable: false }),
      make("img", { src: after, alt: t("After"), draggable: false, className: "after" }),
      line,
    );
    button.title = t("Compare before and after");
    let share = 0.5;
    const move = (/** @type {number} */ to) => {
      share = Math.min(Math.max(to, 0), 1);
      button.style.setProperty("--at", `${100 * share}%`);
    };
    let pressed = 0;
    button.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      pressed = event.clientX;
      event.stopPropagation(); // not for the node, which would be dragged
    });
    button.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const { left, width: wide } = button.getBoundingClientRect();
      move((event.clientX - left) / wide);
    });
    button.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const way = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
      if (way === undefined) return;
      event.stopPropagation(); // ComfyUI would move the node
      event.preventDefault();
      move(share + way);
    });
    button.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      if (event.detail && Math.abs(event.clientX - pressed) > DRAGGED) return;
      compare(before, after).catch(() => {
        this.clear();
        this.lost();
      });
    });
    move(share);
    this.pair.replaceChildren(button);
    this.end();
  }
}
