// @ts-check
// What a node of ours says below its widgets: notes before a run, the result after it.

import { compare } from "./compare.js";
import { make } from "./dom.js";
import { read } from "./failure.js";
import { addPanelStyle } from "./panel-style.js";
import { ask, view } from "./server.js";
import { say, t } from "./texts.js";

/**
 * @typedef {import("./texts.js").Text} Text
 * @typedef {{level: string, text: Text, way: string, name: string}} Note
 * @typedef {{size: [number, number] | null, notes: Note[]}} Advice
 * @typedef {{texts: Text[]}} Price
 * @typedef {{filename: string, subfolder: string, type: string}} File
 * @typedef {{how: string[], size: number[], seconds: number, before?: File, after?: File}} Result
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
    this.advice = make("div", { role: "status" });
    this.download = make("div", {});
    this.notices = make("div", {});
    this.status = make("div", {});
    this.outcome = make("div", {});
    this.fresh = true; // whether the next report belongs to a new run
    this.busy = false; // whether a run has reported and not finished
    this.finished = false; // whether it shows a result
    this.element = make("div", { className: "upscale-bridge-panel" });
    this.element.append(...[this.advice, this.download, this.notices, this.outcome, this.status]);
  }

  /** Show what is known before a run. @param {Advice} advice */
  advise({ size, notes }) {
    const lines = notes.map((note) => this.line(note));
    if (size) {
      const text = t("The result has {width} × {height} px.", { width: size[0], height: size[1] });
      lines.unshift(make("p", { "data-level": "info" }, text));
    }
    this.models = new Set(notes.filter((note) => note.way === "download").map(({ name }) => name));
    this.advice.replaceChildren(...lines);
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
    if (note.way === "price") line.append(this.button(t("Ask for the price"), () => this.price(line)));
    if (note.way === "price now") this.price(line);
    return line;
  }

  /** Put what the service asks for in the place of a line. @param {HTMLElement} line */
  async price(line) {
    try {
      const { texts } = await this.ways.price();
      line.replaceChildren(texts.map(say).join(" ") || t("The service tells no price."));
    } catch (error) {
      line.replaceChildren(/** @type {Error} */ (error).message);
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
    const told = `${name}: ${Math.round(100 * fraction)} %`;
    let bar = this.download.querySelector("progress");
    if (!bar) {
      bar = make("progress", { max: 1, "aria-label": t("Download of {name}", { name }) });
      const cancel = this.button(t("Cancel"), () => this.change("models/cancel", name));
      this.download.replaceChildren(make("p", { "data-level": "info" }), bar, cancel);
    }
    bar.value = fraction;
    this.download.querySelector("p").textContent = told;
  }

  /** Take the next report for that of a new run. Cached nodes make none and keep what they show. */
  begin() {
    this.fresh = true;
  }

  /** Show what a run is doing. @param {{text: string, stays: boolean}} report */
  report({ text, stays }) {
    if (this.fresh) this.notices.replaceChildren();
    this.fresh = false;
    const line = make("p", { "data-level": stays ? "warning" : "info" }, text);
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
    this.busy = false;
  }

  /** Show what a run has made. @param {Result} result */
  finish({ size, seconds, how, before, after }) {
    const words = {
      ...{ joined: t("joined"), resumed: t("resumed"), reused: t("reused") },
      local: t("made on this machine"),
    };
    const ways = how.map((word) => words[/** @type {keyof words} */ (word)]);
    const time = t("{seconds} s", { seconds: seconds.toFixed(1) });
    const text = [`${size[0]} × ${size[1]} px`, time, ...ways].filter(Boolean).join(", ");
    const parts = [make("p", { "data-level": "done" }, text)];
    if (before && after) {
      const [small, large] = [view(before), view(after)];
      const pair = make(
        "button",
        { type: "button", className: "pair", "aria-label": t("Compare before and after") },
        make("img", { src: small, alt: t("Before"), loading: "lazy" }),
        make("img", { src: large, alt: t("After"), loading: "lazy" }),
      );
      pair.addEventListener("click", () =>
        compare(small, large).catch(() => this.fail(t("The pictures of this run are gone."))),
      );
      parts.push(pair);
    }
    this.outcome.replaceChildren(...parts);
    this.busy = false;
    this.finished = true;
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
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", work);
    return made;
  }
}
