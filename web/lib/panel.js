// @ts-check
// What a node of ours says below its widgets: one line before a run, one line and a picture after.

import { make } from "./dom.js";
import { read } from "./failure.js";
import { about, sizes } from "./lines.js";
import { addPanelStyle } from "./panel-style.js";
import { Picture } from "./picture.js";
import { ask, view } from "./server.js";
import { say, t } from "./texts.js";

/**
 * @typedef {import("./texts.js").Text} Text
 * @typedef {{level: string, text: Text, way: string, name: string, topic: string}} Note
 * @typedef {{size: [number, number] | null, notes: Note[]}} Advice
 * @typedef {{texts: Text[]}} Price
 * @typedef {import("./lines.js").Result} Result
 * @typedef {{name: string, state: "running" | "done" | "stopped" | "failed", fraction: number,
 *   text?: string}} Download
 */

/** The element of one node. */
export class Panel {
  /**
   * @param {() => void} openKeys what the button "Set the key" does
   * @param {{price: () => Promise<Price>, locally: (choice: string) => void}} ways what else its
   *   buttons do: ask the service what a run costs, run once with a choice of when_unavailable
   */
  constructor(openKeys, ways) {
    addPanelStyle();
    this.openKeys = openKeys;
    this.ways = ways;
    this.models = new Set(); // those that this node's notes offer to download
    this.plan = make("p", { className: "line" });
    this.advice = make("div", { role: "status" }, this.plan);
    this.download = make("div", {});
    this.notices = make("div", {});
    this.status = make("div", {});
    this.outcome = make("div", {});
    this.picture = new Picture(() => this.fail(t("The pictures of this run are gone.")));
    this.fresh = true; // whether the next report belongs to a new run
    this.busy = false; // whether a run has reported and not finished
    this.finished = false; // whether it shows a result
    /** @type {string | undefined} */
    this.asked = undefined; // what the plan is about
    this.asking = false; // whether the next plan is on its way
    /** @type {string | undefined} */
    this.begun = undefined; // what the run that goes on was asked to do
    /** @type {string | undefined} */
    this.done = undefined; // what the result was made of; the plan would say it once more
    this.element = make("div", { className: "upscale-bridge-panel" });
    this.element.append(this.advice, this.download, this.notices, this.outcome, this.status);
    this.element.append(this.picture.element);
  }

  /**
   * Show what is known before a run.
   * @param {Advice} advice @param {[number, number] | null} from size of the input
   * @param {string} asked what it is about
   */
  advise({ size, notes }, from, asked) {
    this.models = new Set(notes.filter((note) => note.way === "download").map(({ name }) => name));
    const prices = notes.filter((note) => note.topic === "price");
    this.plan.replaceChildren(...(size ? [sizes(from, size)] : []));
    for (const note of prices) this.plan.append(...(this.plan.firstChild ? [" · "] : []), this.cost(note));
    const rest = notes.filter((note) => note.topic !== "price");
    this.advice.replaceChildren(this.plan, ...rest.map((note) => this.line(note)));
    [this.asked, this.asking] = [asked, false];
    this.begun ??= asked;
    if (this.finished) this.done ??= asked;
    this.plan.hidden = !this.plan.firstChild || (this.finished && this.done === asked);
  }

  /** Show why nothing is known. @param {string} text */
  refuse(text) {
    this.advice.replaceChildren(make("p", { "data-level": "missing" }, text));
  }

  /** @param {Note} note */
  line(note) {
    const line = make("p", { "data-level": note.level }, say(note.text));
    if (note.way === "key") line.append(this.button(t("Set the key"), this.openKeys));
    if (note.way === "download") {
      line.append(this.button(t("Download"), () => this.obtain(note.name)));
    }
    return line;
  }

  /** Return a price, or the way to it. @param {Note} note */
  cost(note) {
    const place = make("span", {});
    if (note.text.english === "{price}") place.append(say(note.text));
    if (note.way === "price now") this.price(place);
    if (note.way === "price") place.append(this.button(t("Ask for the price"), () => this.price(place)));
    return place;
  }

  /** Put what the service asks for in the place of a text. @param {HTMLElement} place */
  async price(place) {
    try {
      const { texts } = await this.ways.price();
      place.replaceChildren(texts.map(say).join(" ") || t("The service tells no price."));
    } catch (error) {
      place.replaceChildren(/** @type {Error} */ (error).message);
    }
  }

  /** Show a download that this node waits for. @param {Download} download */
  follow({ name, state, fraction, text }) {
    if (!this.models.has(name)) return;
    if (state !== "running") {
      const told = {
        done: t("{name} is here.", { name }),
        stopped: t("Stopped; the next download goes on from there."),
        failed: text ?? "",
      }[state];
      const level = state === "done" ? "done" : "warning";
      this.download.replaceChildren(make("p", { "data-level": level }, told));
      return;
    }
    let bar = this.download.querySelector("progress");
    if (!bar) {
      bar = make("progress", { max: 1, "aria-label": t("Download of {name}", { name }) });
      const cancel = this.button(t("Cancel"), () => this.change("models/cancel", name));
      this.download.replaceChildren(make("p", {}), bar, cancel);
    }
    bar.value = fraction;
    this.download.querySelector("p").textContent = `${name}: ${Math.round(100 * fraction)} %`;
  }

  /** Take the next report for that of a new run. Cached nodes make none and keep what they show. */
  begin() {
    for (const line of this.notices.querySelectorAll("[role=alert]")) line.remove(); // that run is over
    this.fresh = true;
    this.begun = this.asking ? undefined : this.asked;
  }

  /** Show what a run is doing. @param {{text: string, stays: boolean}} report */
  report({ text, stays }) {
    if (this.fresh) this.notices.replaceChildren();
    this.fresh = false;
    const line = make("p", stays ? { "data-level": "warning" } : {}, text);
    if (stays) this.notices.append(line);
    else this.status.replaceChildren(line);
    this.busy = true;
  }

  /** Show why a run failed, and the ways on. @param {string} message of ComfyUI's event */
  failed(message) {
    const { text, key, model, local } = read(message);
    const line = make("p", { role: "alert", "data-level": "missing" }, text);
    if (key) line.append(this.button(t("Set the key"), this.openKeys));
    if (model) line.append(this.button(t("Download"), () => this.obtain(model)));
    if (local) line.append(this.button(t("Run locally once"), () => this.ways.locally(local)));
    this.notices.replaceChildren(line);
    if (model) this.models.add(model);
  }

  /** Take back what a run was doing that ended before its result. */
  stop() {
    if (this.busy) this.status.replaceChildren();
    this.picture.end();
    this.busy = false;
  }

  /** Show what a run has made. @param {Result} result */
  finish(result) {
    const { before, after, size } = result;
    this.outcome.replaceChildren(make("p", { className: "line", "data-level": "done" }, about(result)));
    this.status.replaceChildren();
    if (before && after) this.picture.compare(view(before), view(after), size);
    else this.picture.clear();
    [this.busy, this.finished, this.done, this.plan.hidden] = [false, true, this.begun, true];
  }

  /** @param {string} text */
  fail(text) {
    this.outcome.replaceChildren(make("p", { "data-level": "warning" }, text));
  }

  /** Download a model; events tell the rest, and may come before the answer. @param {string} name */
  obtain(name) {
    this.follow({ name, state: "running", fraction: 0 });
    this.change("models/download", name);
  }

  /** @param {string} path @param {string} name */
  change(path, name) {
    ask(path, { name }).catch((error) =>
      this.download.replaceChildren(make("p", { "data-level": "missing" }, error.message)),
    );
  }

  /** @param {string} text @param {() => void} work */
  button(text, work) {
    const made = make("button", { type: "button", className: "way" }, text);
    made.addEventListener("click", work);
    return made;
  }
}
