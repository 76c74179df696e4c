// @ts-check
// Gives each node of the pack its panel.

// @ts-ignore (ComfyUI serves it)
import { app } from "../../scripts/app.js";
// @ts-ignore (ComfyUI serves it)
import { api } from "../../scripts/api.js";

import { comesFrom, folderOf, takesPixels } from "./lib/definitions.js";
import { after, later } from "./lib/dom.js";
import { addForm } from "./lib/form.js";
import { had, shownBy } from "./lib/history.js";
import { isKnown, nodeOf, originOf, sizeOf, source, values } from "./lib/inputs.js";
import { addLabels, note } from "./lib/models.js";
import { Panel } from "./lib/panel.js";
import { place } from "./lib/place.js";
import { follow, isHere, onRun, wasAskedBefore } from "./lib/runs.js";
import { ask, history, listen } from "./lib/server.js";

const FOLDER = folderOf(import.meta.url);
const ours = new Set(); // names of the pack's nodes
const repeated = new Set(); // those of them whose results ComfyUI tells again when they are cached
const advised = new Set(); // those of them that can be asked before a run
const RUNS = 20; // of ComfyUI's history that are searched for a cached result
const DECIMALS = 3; // of numbers whose step ComfyUI would round
const SETTLING = 5000; // milliseconds

/** @type {Map<any, {panel: Panel, check: () => void, form: (() => void) | null,
 *   since: number}>} */
const shown = new Map();
const watched = new WeakSet(); // widgets of nodes before ours

const openKeys = () => app.extensionManager.command.execute("UpscaleBridge.Keys");

/** The workflow's own graph, also while one of its subgraphs is shown. */
const root = () => app.rootGraph ?? app.graph;

/** Ask which models are not here; without an answer lists show bare names. */
const readModels = () => ask("models").then(({ absent }) => note(absent), () => {});

/** A name of the workflow that is shown; older pages have none. @returns {string | undefined} */
const current = () => app.extensionManager?.workflow?.activeWorkflow?.key;

/**
 * Return the panel of a node of a run, null for another workflow's run.
 * @param {string} run @param {string} id
 */
function panelOf(run, id) {
  const found = isHere(run) ? shown.get(nodeOf(root(), id)) : null;
  if (!found) return null;
  // ComfyUI shows the nodes of another workflow a while before it says which one it is.
  const settled = performance.now() - found.since > SETTLING;
  return settled || !wasAskedBefore(run, found.since) ? found.panel : null;
}

/** @param {any} node @param {Panel} panel @param {() => boolean} isLast whether nothing changed meanwhile */
async function check(node, panel, isLast) {
  if (!node.graph || !advised.has(node.comfyClass)) return; // taken away meanwhile
  try {
    const origin = originOf(node);
    watch(origin);
    const known = values(node);
    const picture = isKnown(node, known) ? source(origin, (path) => api.apiURL(path)) : null;
    const size = await sizeOf(picture, origin?.comfyClass); // not told where it may be another one
    const asked = { node: node.comfyClass, values: known, size };
    const advice = await ask("advice", asked);
    if (isLast()) panel.advise(advice, size, JSON.stringify(asked));
  } catch (error) {
    if (isLast()) panel.refuse(/** @type {Error} */ (error).message);
  }
}

/** Check again when a node that gives an image gets another one. @param {any} origin */
function watch(origin) {
  for (const widget of origin?.widgets ?? []) {
    if (watched.has(widget)) continue;
    watched.add(widget);
    after(widget, "callback", () => shown.forEach(({ check: again }) => again()));
  }
}

/** Show what cached nodes made before this page was opened. @param {string} run */
async function recall(run) {
  const empty = [...shown].filter(
    ([node, { panel }]) => node.graph === root() && !panel.finished && !repeated.has(node.comfyClass),
  );
  if (!empty.length) return;
  const runs = await history(RUNS);
  for (const [node, { panel }] of empty) {
    const id = String(node.id);
    const result = had(runs[run], id, node.comfyClass, values(node)) && shownBy(runs, run, id);
    if (result) panel.finish(result);
  }
}

/** @param {any} node */
function attach(node) {
  const asked = () => ({ node: node.comfyClass, values: values(node) });
  const panel = new Panel(openKeys, {
    price: () => ask("price", asked()),
    locally: (choice) => runWith(node, "when_unavailable", choice),
  });
  const redraw = () => app.graph?.setDirtyCanvas(true, true);
  const form = addForm(
    node,
    panel.element,
    (model) => ask("model", { node: node.comfyClass, model }),
    redraw,
  );
  addLabels(node);
  const widget = place(node, panel.element, redraw);
  let turn = 0;
  const soon = later(() => {
    const mine = turn;
    check(node, panel, () => mine === turn);
  });
  const askAgain = () => {
    turn += 1;
    panel.asking = true;
    soon();
  };
  shown.set(node, { panel, check: askAgain, form, since: performance.now() });
  for (const other of node.widgets) {
    if (other === widget) continue;
    const { precision, step2: step } = other.options ?? {};
    // ComfyUI shows, and keeps, as many decimals as a step of 1, 0.1 or 0.01 has.
    if (step && Number(step.toFixed(precision)) !== step) other.options.precision = DECIMALS;
    after(other, "callback", askAgain);
  }
  after(node, "onConnectionsChange", askAgain);
  after(node, "onConfigure", askAgain);
  if (form) after(node, "onConfigure", form);
  after(node, "onRemoved", () => shown.delete(node));
  askAgain();
}

/** Run the workflow once with another value of a widget. @param {any} node @param {string} name @param {any} value */
async function runWith(node, name, value) {
  const widget = node.widgets.find((/** @type {any} */ one) => one.name === name);
  const before = widget.value;
  widget.value = value;
  try {
    await app.queuePrompt(0, 1);
  } finally {
    widget.value = before;
  }
}

app.registerExtension({
  name: "UpscaleBridge.Nodes",
  setup() {
    readModels();
    listen("download", (download) => {
      shown.forEach(({ panel }) => panel.follow(download));
      if (download.state !== "running") readModels().then(() => app.refreshComboInNodes?.());
      if (download.state === "done") shown.forEach(({ check: again }) => again());
    });
    follow(api, current);
    listen("status", (status) => panelOf(status.prompt, status.node)?.report(status));
    listen("preview", ({ prompt, node, image }) => panelOf(prompt, node)?.picture.show(image));
    onRun("execution_start", () => shown.forEach(({ panel }) => panel.begin()));
    onRun("execution_interrupted", () => shown.forEach(({ panel }) => panel.stop()));
    onRun("execution_error", ({ prompt_id, node_id, exception_message }) => {
      shown.forEach(({ panel }) => panel.stop());
      panelOf(prompt_id, String(node_id))?.failed(exception_message);
    });
    onRun("executed", ({ prompt_id, node, output }) => {
      const result = output?.upscale_bridge?.[0];
      if (result) panelOf(prompt_id, String(node))?.finish(result);
    });
    listen("models", () => shown.forEach(({ form }) => form?.()));
    listen("keys", () => shown.forEach(({ check: again }) => again()));
    onRun("execution_success", ({ prompt_id }) => recall(prompt_id));
  },
  /** @param {any} _ @param {import("./lib/definitions.js").Definition} definition */
  beforeRegisterNodeDef(_, definition) {
    if (!comesFrom(definition, FOLDER)) return;
    ours.add(definition.name);
    if (takesPixels(definition)) advised.add(definition.name);
    if (definition.has_intermediate_output) repeated.add(definition.name);
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (ours.has(node.comfyClass)) attach(node);
  },
});
