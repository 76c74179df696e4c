// @ts-check
// What a node will get when it runs, as far as the page knows.

/** @typedef {{node: any, slot: number}} Place one of the outputs of a node */

const INSIDE = -10; // what stands in a subgraph for that which gives its inputs

/** Return a link of a graph; older pages keep them in an object. @param {any} graph @param {any} id */
const linkOf = (graph, id) =>
  id == null ? null : (graph.links?.get?.(id) ?? graph.links?.[id] ?? graph.getLink?.(id) ?? null);

/** Return the node of a subgraph in the graph around it. @param {any} graph @returns {any} */
function around(graph) {
  const root = graph.rootGraph ?? graph;
  for (const one of [root, ...(root.subgraphs?.values?.() ?? [])]) {
    const found = one.nodes?.find((/** @type {any} */ node) => node.subgraph === graph);
    if (found) return found;
  }
  return null;
}

/**
 * Return what feeds an input of a node, through subgraphs and reroutes; for an input of a
 * subgraph's node that nothing feeds, this node and input.
 * @param {any} node @param {number} slot
 * @returns {Place | null}
 */
function feeding(node, slot) {
  const input = node.inputs?.[slot];
  const link = node.graph ? linkOf(node.graph, input?.link) : null;
  if (!link) return node.subgraph && input ? { node, slot } : null;
  if (Number(link.origin_id) === INSIDE) {
    const outer = around(node.graph);
    return outer && feeding(outer, link.origin_slot);
  }
  return giving(node.graph, link);
}

/** @param {any} graph @param {any} link @returns {Place | null} */
function giving(graph, link) {
  const node = graph.getNodeById(link.origin_id);
  if (node?.type === "Reroute") return feeding(node, 0);
  const inner = node?.subgraph;
  if (!inner) return node ? { node, slot: link.origin_slot } : null;
  const last = linkOf(inner, inner.outputs?.[link.origin_slot]?.linkIds?.[0]);
  return last && giving(inner, last);
}

/**
 * Return the values of a node's own widgets, and those that stand on a subgraph's node for them;
 * what another node feeds is left out.
 * @param {any} node
 */
export function values(node) {
  /** @type {Map<string, any>} */
  const fed = new Map();
  (node.inputs ?? []).forEach((/** @type {any} */ input, /** @type {number} */ slot) => {
    if (input.widget && input.link != null) fed.set(input.widget.name, feeding(node, slot));
  });
  /** @type {Record<string, any>} */
  const found = {};
  for (const widget of node.widgets ?? []) {
    if (widget.serialize === false) continue;
    if (!fed.has(widget.name)) found[widget.name] = widget.value;
    else {
      const place = fed.get(widget.name);
      const outer = place?.node.subgraph && place.node.inputs[place.slot];
      const named = outer?.widget?.name ?? outer?.name;
      const shown = place?.node.widgets?.find((/** @type {any} */ one) => one.name === named);
      if (outer && shown) found[widget.name] = shown.value;
    }
  }
  return found;
}

/**
 * Tell whether all values of a node are known; another node may give one when it runs.
 * @param {any} node @param {Record<string, any>} known
 */
export const isKnown = (node, known) =>
  (node.widgets ?? []).every(
    (/** @type {any} */ { name, serialize }) => serialize === false || name in known,
  );

/**
 * Return a node by the id that a run has for it, with those of the subgraphs around it: "5:2".
 * @param {any} graph @param {string} id
 */
export function nodeOf(graph, id) {
  /** @type {any} */
  let node = null;
  for (const part of id.split(":")) node = (node ? node.subgraph : graph)?.getNodeById(Number(part));
  return node;
}

/** Return the node that gives a node its image or video, null without one. @param {any} node */
export function originOf(node) {
  const slot = node.inputs?.findIndex((/** @type {any} */ { name }) => /^(image|video)$/.test(name));
  const place = slot >= 0 ? feeding(node, slot) : null;
  return place && !place.node.subgraph ? place.node : null;
}

/** @type {Record<string, string>} Nodes that read a file, and the widgets that name it. */
const FILES = { LoadImage: "image", LoadVideo: "file" };

/**
 * Return the address of the picture or video that a node gives, null when it is not known yet.
 * @param {any} origin @param {(path: string) => string} apiURL
 */
export function source(origin, apiURL) {
  if (!origin) return null;
  const file = FILES[origin.comfyClass];
  if (file) {
    const name = origin.widgets?.find((/** @type {any} */ widget) => widget.name === file)?.value;
    if (!name) return null;
    const [, path, type] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(name) ?? [];
    const parts = path.split("/");
    const query = { filename: parts.pop() ?? "", subfolder: parts.join("/"), type: type ?? "input" };
    return apiURL(`/view?${new URLSearchParams(query)}`);
  }
  return origin.imgs?.[0]?.src ?? null;
}

/** @type {Map<string, Promise<[number, number] | null>>} */
const sizes = new Map();

/**
 * Return width and height of a picture or video, null when it cannot be read.
 * @param {string | null} address @param {string} [reader] the node that reads it
 */
export function sizeOf(address, reader) {
  if (!address) return Promise.resolve(null);
  let found = sizes.get(address);
  if (!found) {
    found = reader === "LoadVideo" ? sizeOfVideo(address) : sizeOfPicture(address);
    sizes.set(address, found);
    found.then((size) => size || sizes.delete(address)); // it may be there later
  }
  return found;
}

/** @param {string} address @returns {Promise<[number, number] | null>} */
const sizeOfPicture = (address) =>
  new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => resolve(null);
    image.src = address;
  });

/** @param {string} address @returns {Promise<[number, number] | null>} */
const sizeOfVideo = (address) =>
  new Promise((resolve) => {
    const video = document.createElement("video");
    video.preload = "metadata";
    video.onloadedmetadata = () => {
      resolve(video.videoWidth ? [video.videoWidth, video.videoHeight] : null);
      video.removeAttribute("src"); // end its download
      video.load();
    };
    video.onerror = () => resolve(null);
    video.src = address;
  });
