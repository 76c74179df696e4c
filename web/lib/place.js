// @ts-check
// Gives a panel its place on a node, and the node the height that the panel needs.

import { after } from "./dom.js";

const LEAST_HEIGHT = 24;
const GAP = 7; // pixels between parts of a panel
const MARGIN = 10; // what ComfyUI leaves above and below an element

/** Return how high the contents of a panel are, pixels. @param {HTMLElement} element */
function inner(element) {
  const parts = [...element.children].map((part) => /** @type {HTMLElement} */ (part).offsetHeight);
  const gaps = parts.filter(Boolean).length * GAP;
  return parts.reduce((sum, part) => sum + part, gaps + 2 * MARGIN);
}

/**
 * Add an element to a node as its last widget, which is neither saved nor sent; return the widget.
 * @param {any} node @param {HTMLElement} element @param {() => void} redraw
 */
export function place(node, element, redraw) {
  let height = LEAST_HEIGHT;
  const widget = node.addDOMWidget("upscale_bridge", "upscale_bridge", element, {
    serialize: false,
    hideOnZoom: true,
    margin: MARGIN,
    getMinHeight: () => height,
    getMaxHeight: () => height,
  });
  widget.serialize = false; // neither in the workflow file
  widget.label = "Upscale Bridge"; // above it in ComfyUI's app mode
  const observer = new ResizeObserver(() => {
    if (!node.graph) return; // a panel that is taken away has no height
    const wanted = Math.max(LEAST_HEIGHT, inner(element));
    if (Math.abs(wanted - height) < 2) return;
    if (/** @type {any} */ (window).LiteGraph?.vueNodesMode) return; // those nodes grow by themselves
    const tight = node.size[1] - node.computeSize()[1] < 2; // else the user made it larger
    height = wanted;
    const least = node.computeSize()[1];
    node.setSize([node.size[0], tight ? least : Math.max(node.size[1], least)]);
    redraw();
  });
  for (const part of element.children) observer.observe(part);
  after(node, "onRemoved", () => observer.disconnect());
  return widget;
}
