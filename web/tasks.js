// @ts-check
// The sidebar tab with the paid tasks of this machine: what is under way, lost from sight, or here.

// @ts-ignore (ComfyUI serves it)
import { app } from "../../scripts/app.js";

import { age } from "./lib/age.js";
import { addStyle, BOX, FIELD, FOCUS, later, LINE, make } from "./lib/dom.js";
import { address, ask, listen } from "./lib/server.js";
import { say, t } from "./lib/texts.js";

const STYLE = `
.upscale-bridge-tasks {
  display: flex; flex-direction: column; gap: 0.5rem; height: 100%; box-sizing: border-box;
  padding: 0.75rem; overflow-y: auto; color: var(--input-text, #ddd);
  font-family: inherit; font-size: 13px; line-height: 1.4;
  & header { display: flex; align-items: center; gap: 0.5rem; }
  & h2 { font-size: 15px; margin: 0; flex: 1; }
  & article { display: grid; grid-template-columns: 72px 1fr; gap: 0.25rem 0.75rem;
    border: ${LINE}; border-radius: 0.5rem; padding: 0.5rem; }
  & article > :first-child { grid-row: span 3; width: 72px; height: 72px; object-fit: cover;
    border-radius: 0.3rem; background: ${FIELD}; display: grid;
    place-items: center; font-size: 1.4rem; }
  & p { margin: 0; overflow-wrap: anywhere; }
  & .facts { color: var(--descrip-text, #a0a0a0); }
  & [data-state="ambiguous"], & [data-state="failed"], & [data-state="expired"] {
    border-left: 3px solid #e5484d; padding-left: 0.5rem; }
  & .actions { display: flex; flex-wrap: wrap; gap: 0.3rem; grid-column: 2; }
  & button, & a.button, & input { ${BOX} font-size: 12px; padding: 0.2rem 0.6rem; }
  & button, & a.button { cursor: pointer; text-decoration: none; }
  & button:hover, & a.button:hover { border-color: currentcolor; }
  & :focus-visible { ${FOCUS} }
}`;
const words = () => ({
  preparing: t("Getting ready"),
  submitting: t("Being submitted"),
  running: t("Running there"),
  done: t("Finished"),
  failed: t("Failed"),
  expired: t("Expired"),
  ambiguous: t("In doubt"),
});

/**
 * @typedef {{request: string, ticket: string, state: keyof ReturnType<typeof words>, title: string,
 *   media: "image" | "video", has_tickets: boolean, input_size: [number, number], created: number,
 *   finished: number, reason: string, price: import("./lib/texts.js").Text | null, result: boolean}} Task
 */

/** @param {Task} task */
function facts({ created, input_size: [width, height], price }) {
  const size = width ? t("from {width} × {height} px", { width, height }) : "";
  const parts = [age(Date.now() / 1000 - created), size, price && say(price)];
  return parts.filter(Boolean).join(" · ");
}

/** One open tab. */
class Tasks {
  /** @param {HTMLElement} root */
  constructor(root) {
    addStyle("upscale-bridge-tasks-style", STYLE);
    this.told = make("p", { role: "status" });
    this.list = make("div", { style: "display: contents" });
    /** @type {Map<string, [string, any]>} */
    this.cards = new Map(); // what is shown of each request
    const refresh = this.button(t("Refresh"), () => this.load());
    const header = make("header", {}, make("h2", {}, t("Upscale tasks")), refresh);
    root.replaceChildren(
      make("div", { className: "upscale-bridge-tasks" }, header, this.told, this.list),
    );
    this.load();
  }

  async load() {
    try {
      const { tasks } = await ask("tasks");
      const none = t("No remote task yet. Local upscales are not listed.");
      this.told.textContent = tasks.length ? "" : none;
      this.show(tasks);
    } catch (error) {
      this.told.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** Draw what has changed; the rest keeps its focus and what is being typed. @param {Task[]} tasks */
  show(tasks) {
    const before = this.cards;
    this.cards = new Map();
    for (const task of tasks) {
      const told = JSON.stringify([task, words()]);
      const kept = before.get(task.request);
      const [, card] = kept?.[0] === told ? kept : [told, this.card(task)];
      card.querySelector(".facts").textContent = facts(task);
      this.cards.set(task.request, [told, card]);
    }
    const wanted = [...this.cards.values()].map(([, card]) => card);
    for (const old of [...this.list.children]) if (!wanted.includes(old)) old.remove();
    wanted.forEach((card, place) => {
      const there = this.list.children[place];
      if (there !== card) this.list.insertBefore(card, there ?? null);
    });
  }

  /** @param {Task} task */
  card(task) {
    const icon = task.media === "video" ? "pi pi-video" : "pi pi-cloud";
    const picture = task.result && task.media === "image"
      ? make("img", { src: address(`tasks/${task.request}/thumbnail`), alt: t("Result"), loading: "lazy" })
      : make("span", { className: icon, "aria-hidden": "true" });
    const word = words()[task.state];
    const state = make("p", { "data-state": task.state }, word);
    if (task.reason) state.append(`: ${task.reason}`);
    return make(
      "article",
      { "aria-label": `${task.title}, ${word}` },
      picture,
      make("p", {}, make("strong", {}, task.title)),
      state,
      make("p", { className: "facts" }, facts(task)),
      make("div", { className: "actions" }, ...this.actions(task)),
    );
  }

  /** @param {Task} task */
  actions(task) {
    const { request, ticket, state } = task;
    const made = [];
    if (task.result) {
      const link = { href: address(`tasks/${request}/result`), target: "_blank", rel: "noopener" };
      made.push(make("a", { ...link, className: "button" }, t("Open")));
    }
    if (state === "running") made.push(this.button(t("Resume"), () => this.change("resume", { request })));
    if (state === "ambiguous" && task.has_tickets) {
      const field = make("input", { placeholder: t("Task id"), "aria-label": t("The service's task id") });
      field.addEventListener("keydown", (/** @type {Event} */ event) => event.stopPropagation());
      const attach = () => this.change("attach", { request, ticket: field.value });
      made.push(field, this.button(t("Fetch by id"), attach));
    }
    if (ticket) {
      made.push(this.button(t("Copy id"), () => navigator.clipboard.writeText(ticket)));
    }
    if (state !== "preparing" && state !== "submitting") {
      made.push(this.button(t("Forget"), () => this.forget(task)));
    }
    return made;
  }

  /** @param {Task} task */
  async forget({ request, state }) {
    const lost = {
      running: t("Forget this task? Then its result may never be seen."),
      done: t("Forget this task? Then its kept result is deleted."),
    };
    const again = t("Forget this task? Then the same request is paid again.");
    const message = lost[/** @type {keyof typeof lost} */ (state)] ?? again;
    if (await app.extensionManager.dialog.confirm({ title: t("Forget task"), message })) {
      await this.change("forget", { request });
    }
  }

  /** @param {string} action @param {Record<string, string>} body */
  async change(action, body) {
    try {
      await ask(`tasks/${action}`, body);
      await this.load();
    } catch (error) {
      this.told.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** @param {string} text @param {() => void} work */
  button(text, work) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", work);
    return made;
  }
}

/** @type {Tasks | null} */
let open = null;

app.registerExtension({
  name: "UpscaleBridge.Tasks",
  setup() {
    const reload = later(() => open?.load());
    listen("tasks", (data) => {
      if (open && data.error) open.told.textContent = data.error;
      else reload();
    });
    app.extensionManager.registerSidebarTab({
      id: "upscale-bridge-tasks",
      icon: "pi pi-cloud-download",
      title: "Upscale tasks",
      tooltip: "Upscale tasks: resume, open or forget what was paid for",
      type: "custom",
      render: (/** @type {HTMLElement} */ root) => (open = new Tasks(root)),
      destroy: () => (open = null),
    });
  },
});
