// @ts-check
// Which nodes are ours and what they take, read from the definitions that ComfyUI sends.

/**
 * @typedef {{name: string, python_module?: string, input?: Record<string, Record<string, any>>,
 *   has_intermediate_output?: boolean}} Definition
 */

/** What a node must take to be asked for advice before it runs. */
const PIXELS = new Set(["IMAGE", "VIDEO"]);

/**
 * Return the pack's folder, which ComfyUI serves under /extensions/ by its own name.
 * @param {string} address that of a script which lies in `web/` itself
 */
export const folderOf = (address) =>
  decodeURIComponent(new URL(".", address).pathname.split("/").at(-2) ?? "");

/**
 * Tell whether a node comes from the pack in this folder of custom_nodes.
 * @param {Definition} definition @param {string} folder
 */
export const comesFrom = (definition, folder) =>
  definition.python_module === `custom_nodes.${folder}`;

/** Tell whether a node takes images or a video, about which it can be asked before a run. @param {Definition} definition */
export const takesPixels = ({ input = {} }) =>
  [input.required, input.optional].some((group) =>
    Object.values(group ?? {}).some(([type]) => PIXELS.has(type)),
  );
