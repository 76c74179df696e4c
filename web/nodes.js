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
import { nodeOf, originOf, sizeOf, source, values } from "./lib/inputs.js";
import { Panel } from "./lib/panel.js";
import { follow, isHere, onRun, wasAskedBefore } from "./lib/runs.js";
import { ask, history, listen } from "./lib/server.js";

const FOLDER = folderOf(import.meta.url);
const ours = new Set(); // names of the pack's nodes
const advised = new Set(); // those of them that can be asked before a run
const RUNS = 20; // of ComfyUI's history that are searched for a cached result
const DECIMALS = 3; // of numbers whose step ComfyUI would round
const LEAST_HEIGHT = 24;
const SETTLING = 5000; // milliseconds
const MARGIN = 10; // what ComfyUI leaves above and below an element

/** @type {Map<any, {panel: Panel, check: () => void, form: (() => void) | null,
 *   since: number}>} */
const shown = new Map();
const watched = new WeakSet(); // widgets of nodes before ours

const openKeys = () => app.extensionManager.command.execute("UpscaleBridge.Keys");

/** A name of the workflow that is shown; older pages have none. @returns {string | undefined} */
const current = () => app.extensionManager?.workflow?.activeWorkflow?.key;

/**
 * Return the panel of a node of a run, null for another workflow's run.
 * @param {string} run @param {string} id
 */
function panelOf(run, id) {
  const found = isHere(run) ? shown.get(nodeOf(app.graph, id)) : null;
  if (!found) return null;
  // ComfyUI shows the nodes of another workflow a while before it says which one it is.
  const settled = performance.now() - found.since > SETTLING;
  return settled || !wasAskedBefore(run, found.since) ? found.panel : null;
}

/** @param {any} node @param {Panel} panel */
async function check(node, panel) {
  if (!node.graph || !advised.has(node.comfyClass)) return; // taken away, or moved to a subgraph
  const origin = originOf(node);
  watch(origin);
  try {
    const size = await sizeOf(source(origin, (path) => api.apiURL(path)), origin?.comfyClass);
    panel.advise(await ask("advice", { node: node.comfyClass, values: values(node), size }));
  } catch (error) {
    panel.refuse(/** @type {Error} */ (error).message);
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
  const empty = [...shown].filter(([node, { panel }]) => node.graph === app.graph && !panel.finished);
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
  const form = addForm(
    node,
    panel.element,
    (model) => ask("model", { node: node.comfyClass, model }),
    () => app.graph?.setDirtyCanvas(true, true),
  );
  let height = LEAST_HEIGHT;
  const widget = node.addDOMWidget("upscale_bridge", "upscale_bridge", panel.element, {
    serialize: false,
    hideOnZoom: true,
    margin: MARGIN,
    getMinHeight: () => height,
    getMaxHeight: () => height,
  });
  widget.serialize = false; // neither in the workflow file
  const askAgain = later(() => check(node, panel));
  shown.set(node, { panel, check: askAgain, form, since: performance.now() });
  for (const other of node.widgets) {
    const { precision, step2: step } = other.options ?? {};
    // ComfyUI shows, and keeps, as many decimals as a step of 1, 0.1 or 0.01 has.
    if (step && Number(step.toFixed(precision)) !== step) other.options.precision = DECIMALS;
    after(other, "callback", askAgain);
  }
  after(node, "onConnectionsChange", askAgain);
  after(node, "onConfigure", askAgain);
  if (form) after(node, "onConfigure", form);
  const observer = new ResizeObserver(() => {
    if (!node.graph) return; // a panel that is taken away has no height
    const wanted = Math.max(LEAST_HEIGHT, inner(panel.element));
    if (Math.abs(wanted - height) < 2) return;
    const tight = node.size[1] - node.computeSize()[1] < 2; // else the user made it larger
    height = wanted;
    const least = node.computeSize()[1];
    node.setSize([node.size[0], tight ? least : Math.max(node.size[1], least)]);
    app.graph?.setDirtyCanvas(true, true);
  });
  for (const part of panel.element.children) observer.observe(part);
  after(node, "onRemoved", () => {
    observer.disconnect();
    shown.delete(node);
  });
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

/** Return how high the contents of a panel are, pixels. @param {HTMLElement} element */
function inner(element) {
  const parts = [...element.children].map((part) => /** @type {HTMLElement} */ (part).offsetHeight);
  const gaps = parts.filter(Boolean).length * 6;
  return parts.reduce((sum, part) => sum + part, gaps + 2 * MARGIN);
}

app.registerExtension({
  name: "UpscaleBridge.Nodes",
  setup() {
    listen("download", (download) => {
      shown.forEach(({ panel }) => panel.follow(download));
      if (download.state !== "running") app.refreshComboInNodes?.();
      if (download.state === "done") shown.forEach(({ check: again }) => again());
    });
    follow(api, current);
    listen("status", (status) => panelOf(status.prompt, status.node)?.report(status));
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
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (ours.has(node.comfyClass)) attach(node);
  },
});
