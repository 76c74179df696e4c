// @ts-check
// Elements of the page. Text is never read as HTML.

/**
 * Make an element.
 * @type {(tag: string, properties?: Record<string, any>, ...children: (Node | string)[]) => any}
 */
export function make(tag, properties = {}, ...children) {
  const element = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Add a style sheet to the page once. @param {string} id @param {string} text */
export function addStyle(id, text) {
  if (!document.getElementById(id)) document.head.append(make("style", { id }, text));
}

/** Call `work` a while after the last call of what is returned. @param {() => void} work */
export function later(work, milliseconds = 300) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(work, milliseconds);
  };
}

/**
 * Call `work` after `object[name]` was called, with the same arguments.
 * @param {any} object @param {string} name @param {(...given: any[]) => void} work
 */
export function after(object, name, work) {
  const before = object[name];
  object[name] = function (/** @type {any[]} */ ...given) {
    const result = before?.apply(this, given);
    work(...given);
    return result;
  };
}

// As ComfyUI's own widgets and lines; the later names are those of pages that have no Nodes 2.0.
export const FIELD = "var(--component-node-widget-background, var(--comfy-input-bg, #222))";
export const LINE = "1px solid var(--border-default, var(--border-color, #4e4e4e))";
export const BOX = `
  font: inherit; color: var(--input-text, #ddd); background: ${FIELD};
  border: ${LINE}; border-radius: 0.4rem; padding: 0.35rem 0.75rem;`;
export const FOCUS = "outline: 2px solid #4c9ffe; outline-offset: 1px;";
