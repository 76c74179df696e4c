// @ts-check
// Which workflow asked for a run: a page shows one of several, whose nodes have the same ids.

const KEPT = 200; // runs that are remembered

/** @type {{api: any, current: () => string | undefined}} */
let host = { api: null, current: () => undefined };

/**
 * @typedef {{workflow: string, at: number}} Asked by which workflow, and when by the page's clock
 * @type {Map<string, Asked>} by the run's id
 */
const asked = new Map();
/** @type {Asked[]} Those that have no id yet: the run may begin before the answer is here. */
const waiting = [];

/**
 * Note from now on which workflow asks for a run.
 * @param {any} api @param {() => string | undefined} current gives a name of the one that is shown
 */
export function follow(api, current) {
  host = { api, current };
  const queue = api.queuePrompt;
  api.queuePrompt = async function (/** @type {any[]} */ ...given) {
    const workflow = current();
    if (workflow === undefined) return queue.apply(this, given);
    const one = { workflow, at: performance.now() };
    waiting.push(one);
    try {
      const answer = await queue.apply(this, given);
      if (answer?.prompt_id) note(answer.prompt_id, one);
      return answer;
    } finally {
      waiting.splice(waiting.indexOf(one), 1);
    }
  };
}

/** @param {string} run @param {Asked} one */
export function note(run, one) {
  asked.set(run, one);
  if (asked.size > KEPT) asked.delete(asked.keys().next().value ?? "");
}

/**
 * Tell whether a run may be one of the workflow that is shown; one that nobody noted may be.
 * @param {string | undefined} run
 */
export function isHere(run) {
  const [workflow, one] = [host.current(), find(run)];
  return workflow === undefined || !one || one.workflow === workflow;
}

/** Tell whether a run is known to have been asked for before a moment. @param {string} run @param {number} at */
export const wasAskedBefore = (run, at) => (find(run)?.at ?? at) < at;

/** @param {string | undefined} run */
const find = (run) => asked.get(run ?? "") ?? waiting[0];

/**
 * Call `work` with what ComfyUI tells of a run of the workflow that is shown.
 * @param {string} name @param {(detail: any) => void} work
 */
export function onRun(name, work) {
  host.api.addEventListener(name, (/** @type {CustomEvent} */ { detail }) => {
    if (isHere(detail?.prompt_id)) work(detail);
  });
}
