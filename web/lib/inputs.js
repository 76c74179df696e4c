// @ts-check
// What a node will get when it runs, as far as the page knows.

/** Return the values of a node's own widgets; those that another node feeds are left out. @param {any} node */
export function values(node) {
  const fed = new Set(
    (node.inputs ?? [])
      .filter((/** @type {any} */ input) => input.widget && input.link != null)
      .map((/** @type {any} */ input) => input.widget.name),
  );
  /** @type {Record<string, any>} */
  const found = {};
  for (const widget of node.widgets ?? []) {
    if (!fed.has(widget.name) && widget.serialize !== false) found[widget.name] = widget.value;
  }
  return found;
}

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
  return slot >= 0 ? node.getInputNode(slot) : null;
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
