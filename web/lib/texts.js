// @ts-check
// What the page says, in the user's language. English texts are the keys of the translations.

/** @typedef {{english: string, values: Record<string, Text | string | number>}} Text */

/** @type {() => Record<string, string> | undefined} */
let texts = () => ({});

/** Take translations from `source` from now on. @param {typeof texts} source */
export const speak = (source) => (texts = source);

/**
 * Return a text, with `values` in the places that {name} marks.
 * @param {string} english @param {Text["values"]} [values] @returns {string}
 */
export function t(english, values = {}) {
  const known = texts() ?? {};
  return (known[english] ?? english).replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "object" ? say(value) : (known[value] ?? String(value));
  });
}

/** Return a text that the pack sent. @param {Text} text @returns {string} */
export const say = ({ english, values }) => t(english, values);
