// @ts-check
// Gives each node of the pack its panel.

// @ts-ignore (ComfyUI serves it)
import { app } from "../../scripts/app.js";
// @ts-ignore (ComfyUI serves it)
import { api } from "../../scripts/api.js";

import { comesFrom, folderOf, takesPixels } from "./lib/definitions.js";
import { later } from "./lib/dom.js";
import { Form } from "./lib/form.js";
import { had, shownBy } from "./lib/history.js";
import { nodeOf, originOf, sizeOf, source, values } from "./lib/inputs.js";
import { Panel } from "./lib/panel.js";
import { ask, history, listen } from "./lib/server.js";

const FOLDER = folderOf(import.meta.url);
const ours = new Set(); // names of the pack's nodes
const advised = new Set(); // those of them that can be asked before a run
const RUNS = 20; // of ComfyUI's history that are searched for a cached result
const DECIMALS = 3; // of numbers whose step ComfyUI would round
const LEAST_HEIGHT = 24;
const MARGIN = 10; // what ComfyUI leaves above and below an element

/** @type {Map<any, {panel: Panel, check: () => void, form: (() => void) | null}>} */
const shown = new Map();
const watched = new WeakSet(); // widgets of nodes before ours

const openKeys = () => app.extensionManager.command.execute("UpscaleBridge.Keys");

/** @param {any} node @param {Panel} panel */
async function check(node, panel) {
  if (!advised.has(node.comfyClass)) return;
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

/**
 * Call `work` after `object[name]` was called, with the same arguments.
 * @param {any} object @param {string} name @param {(...given: any[]) => void} work
 */
function after(object, name, work) {
  const before = object[name];
  object[name] = function (/** @type {any[]} */ ...given) {
    const result = before?.apply(this, given);
    work(...given);
    return result;
  };
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
  const panel = new Panel(openKeys, () => ask("price", asked()));
  const form = addForm(node, panel);
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
  shown.set(node, { panel, check: askAgain, form });
  for (const other of node.widgets) {
    const { precision, step2: step } = other.options ?? {};
    // ComfyUI shows, and keeps, as many decimals as a step of 1, 0.1 or 0.01 has.
    if (step && Number(step.toFixed(precision)) !== step) other.options.precision = DECIMALS;
    after(other, "callback", askAgain);
  }
  after(node, "onConnectionsChange", askAgain);
  after(node, "onConfigure", askAgain);
  if (form) after(node, "onConfigure", form);
  after(node, "onExecuted", (output) => {
    if (output?.upscale_bridge?.[0]) panel.finish(output.upscale_bridge[0]);
  });
  after(node, "onRemoved", () => shown.delete(node));
  const observer = new ResizeObserver(() => {
    const wanted = Math.max(LEAST_HEIGHT, inner(panel.element));
    if (Math.abs(wanted - height) < 2) return;
    const tight = node.size[1] - node.computeSize()[1] < 2; // else the user made it larger
    height = wanted;
    const least = node.computeSize()[1];
    node.setSize([node.size[0], tight ? least : Math.max(node.size[1], least)]);
    app.graph?.setDirtyCanvas(true, true);
  });
  for (const part of panel.element.children) observer.observe(part);
  askAgain();
}

/**
 * Add the form of a node whose options a model of a catalogue describes; return what draws it anew,
 * null for another node. @param {any} node @param {Panel} panel
 */
function addForm(node, panel) {
  const find = (/** @type {string} */ name) =>
    node.widgets?.find((/** @type {any} */ widget) => widget.name === name);
  const [model, options] = [find("model"), find("options")];
  if (!model || !options) return null;
  const form = new Form(
    () => String(options.value ?? ""),
    (text) => {
      options.value = text;
      options.callback?.(text);
      app.graph?.setDirtyCanvas(true, true);
    },
  );
  panel.element.prepend(form.element);
  const draw = async () => {
    const name = model.value;
    try {
      const { models, fields } = await ask("model", { node: node.comfyClass, model: name });
      model.options.values = models; // a refresh of all lists would say so in every page
      if (name === model.value) form.draw(fields); // else another one was chosen meanwhile
    } catch {
      form.draw(null); // the advice says what is wrong
    }
  };
  after(model, "callback", draw);
  after(options, "callback", () => form.update());
  draw();
  return draw;
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
    listen("status", (status) => shown.get(nodeOf(app.graph, status.node))?.panel.report(status));
    api.addEventListener("execution_start", () => shown.forEach(({ panel }) => panel.begin()));
    for (const end of ["execution_error", "execution_interrupted"]) {
      api.addEventListener(end, () => shown.forEach(({ panel }) => panel.stop()));
    }
    listen("models", () => shown.forEach(({ form }) => form?.()));
    listen("keys", () => shown.forEach(({ check: again }) => again()));
    api.addEventListener("execution_success", (/** @type {CustomEvent} */ { detail }) =>
      recall(detail.prompt_id),
    );
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
