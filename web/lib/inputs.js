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

/** Return the node that gives a node its `image`, null without one. @param {any} node */
export function originOf(node) {
  const slot = node.inputs?.findIndex((/** @type {any} */ input) => input.name === "image");
  return slot >= 0 ? node.getInputNode(slot) : null;
}

/**
 * Return the address of the picture that a node gives, null when it is not known yet.
 * @param {any} origin @param {(path: string) => string} apiURL
 */
export function source(origin, apiURL) {
  if (!origin) return null;
  if (origin.comfyClass === "LoadImage") {
    const name = origin.widgets?.find((/** @type {any} */ widget) => widget.name === "image")?.value;
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

/** Return width and height of a picture. @param {string | null} address */
export function sizeOf(address) {
  if (!address) return Promise.resolve(null);
  let found = sizes.get(address);
  if (!found) {
    found = new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
      image.onerror = () => {
        sizes.delete(address);
        resolve(null);
      };
      image.src = address;
    });
    sizes.set(address, found);
  }
  return found;
}
