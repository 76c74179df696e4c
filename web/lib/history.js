// @ts-check
// What ComfyUI remembers of earlier runs. It repeats the outputs of nodes that ran or that end a
// workflow; a page that was opened later has not seen those of the cached ones between.

/**
 * A run as /history gives it: prompt[2] are its nodes by id, outputs what they showed.
 * @typedef {{prompt: any[], outputs: Record<string, any>}} Run
 */

/**
 * Tell whether a node would give the same in both runs.
 * @param {Record<string, any>} one @param {Record<string, any>} other nodes by id
 * @param {string} id
 * @returns {boolean}
 */
export function same(one, other, id) {
  const [a, b] = [one[id], other[id]];
  if (!a || !b || a.class_type !== b.class_type) return false;
  if (JSON.stringify(a.inputs) !== JSON.stringify(b.inputs)) return false;
  const links = Object.values(a.inputs).filter((value) => Array.isArray(value) && value.length === 2);
  return links.every(([from]) => !one[from] || same(one, other, String(from)));
}

/**
 * Tell whether a run had a node of this type with these values. The page may show another workflow
 * by now, whose nodes have the same ids.
 * @param {Run | undefined} run
 * @param {string} id @param {string} type @param {Record<string, any>} values
 */
export function had(run, id, type, values) {
  const node = run?.prompt[2][id];
  if (node?.class_type !== type) return false;
  return Object.entries(values).every(([name, value]) => node.inputs[name] === value);
}

/**
 * Return what a node showed when it last ran with the inputs that it has in the run `id`.
 * @param {Record<string, Run>} runs by id, oldest first
 * @param {string} id @param {string} node
 */
export function shownBy(runs, id, node) {
  const wanted = runs[id]?.prompt[2];
  if (!wanted) return null;
  const found = Object.values(runs)
    .reverse()
    .find(({ prompt, outputs }) => outputs[node]?.upscale_bridge && same(wanted, prompt[2], node));
  return found?.outputs[node].upscale_bridge[0] ?? null;
}
