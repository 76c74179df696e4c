// @ts-check
// How lists show models that are not on this machine: what is saved stays the bare name.

import { t } from "./texts.js";

const MOST = 40; // models in a list that can be looked through

/** @type {Record<string, number | null>} Sizes in bytes, null where nobody knows it. */
let absent = {};

/** Take from now on which models would have to be downloaded. @param {typeof absent} sizes */
export const note = (sizes) => (absent = sizes);

/**
 * Return how a list shows a model.
 * @param {string} name @param {typeof absent} [sizes]
 */
export function label(name, sizes = absent) {
  if (!(name in sizes)) return name;
  const size = sizes[name];
  const told = size ? t("{megabytes} MB", { megabytes: Math.max(1, Math.round(size / 1e6)) }) : "";
  return `${name}  ↓ ${told}`.trim();
}

/** Let a node's list of models mark what is not on this machine. @param {any} node */
export function addLabels(node) {
  if (!String(node.comfyClass).startsWith("Local")) return;
  const { options } = node.widgets?.find((/** @type {any} */ one) => one.name === "model") ?? {};
  if (!options) return;
  const shown = (/** @type {string | null} */ name) => label(name ?? "");
  // A menu of the older design with labels has no field to search in, which long lists need.
  const fits = () => /** @type {any} */ (window).LiteGraph?.vueNodesMode || options.values?.length <= MOST;
  Object.defineProperty(options, "getOptionLabel", {
    ...{ configurable: true, enumerable: true },
    get: () => (fits() ? shown : undefined),
  });
}
