// @ts-check
// The dialog in which users set their keys. It can write keys and never reads one.

// @ts-ignore (ComfyUI serves it)
import { app } from "../../scripts/app.js";
import { addStyle, BOX, FOCUS, LINE, make } from "./lib/dom.js";
import { ask as call } from "./lib/server.js";
import { t } from "./lib/texts.js";

const COMMAND = "UpscaleBridge.Keys";
const TITLE = "Upscale Bridge: API keys";

const STYLE = `
.upscale-bridge-keys {
  width: min(36rem, calc(100vw - 2rem)); max-height: calc(100vh - 4rem); margin: auto; padding: 0;
  color: var(--fg-color, #ddd); background: var(--comfy-menu-bg, #353535);
  border: ${LINE}; border-radius: 0.75rem;
  box-shadow: 0 1rem 3rem rgb(0 0 0 / 40%); font-family: inherit; font-size: 0.9rem; line-height: 1.5;
  &::backdrop { background: rgb(0 0 0 / 50%); }
  & > * { margin: 1.25rem 1.5rem; }
  & section { border-top: ${LINE}; padding-top: 1rem; }
  & h2, & h3 { font-size: 1rem; font-weight: 600; margin: 0; }
  & h2 { font-size: 1.15rem; }
  & p { margin: 0; color: var(--descrip-text, #999); }
  & div { display: flex; align-items: center; gap: 0.5rem; margin: 0.25rem 0; }
  & a { color: inherit; margin-left: auto; text-underline-offset: 0.2em; }
  & input, & button { ${BOX} }
  & input { flex: 1; min-width: 0; }
  & button:enabled { cursor: pointer; }
  & button:enabled:hover { border-color: currentcolor; }
  & button:disabled, & button[aria-disabled="true"] { opacity: 0.5; }
  & :focus-visible { ${FOCUS} }
  & [role="alert"] { color: inherit; border-left: 3px solid #e5484d; padding-left: 0.6rem; }
  & [role="alert"]:empty { border: none; }
  & footer { text-align: right; }
}`;

/**
 * What the server tells about one provider's key.
 * @typedef {{name: string, title: string, variable: string, page: string,
 *   origin: "environment" | "file" | null, hint: string | null}} Row
 */

/**
 * Return all rows, after a change if there is one.
 * @type {(change?: {name: string, key: string}) => Promise<Row[]>}
 */
const ask = async (change) => (await call("keys", change)).keys;

/** @param {Row} row */
function describe(row) {
  const { origin, variable, hint } = row;
  if (!origin) return t("Not set");
  if (!hint?.startsWith("..")) {
    if (origin === "file") return t("Set, from the key file");
    return t("Set, from the environment ({variable})", { variable });
  }
  if (origin === "file") return t("Set, ends in {hint}, from the key file", { hint });
  return t("Set, ends in {hint}, from the environment ({variable})", { hint, variable });
}

/** Draw one provider's part of the dialog. @param {Row} row */
function draw(row) {
  const { title, variable } = row;
  const id = `upscale-bridge-key-${row.name}`;
  const state = make("p", { id: `${id}-state` });
  const told = make("p", { role: "status" });
  const wrong = make("p", { role: "alert" });
  const field = make("input", {
    ...{ id, type: "password", autocomplete: "off", spellcheck: false },
    ...{ placeholder: t("Paste a key"), "aria-label": t("API key for {title}", { title }) },
    "aria-describedby": state.id,
  });
  const button = (/** @type {string} */ verb, /** @type {string} */ label) =>
    make("button", { type: "button", "aria-label": label }, verb);
  const save = button(t("Save"), t("Save the key for {title}", { title }));
  const test = button(t("Test"), t("Test the key for {title}", { title }));
  const remove = button(t("Remove"), t("Remove the key for {title}", { title }));

  /** @param {Row} now */
  const show = (now) => {
    row = now;
    state.textContent = describe(row);
    remove.hidden = row.origin !== "file";
    test.hidden = !row.origin;
    save.disabled = !field.value.trim();
  };
  /** @param {string} key */
  const change = async (key) => {
    told.textContent = wrong.textContent = "";
    save.disabled = remove.disabled = true;
    try {
      const rows = await ask({ name: row.name, key });
      field.value = "";
      show(rows.find((other) => other.name === row.name) ?? row);
      if (key && row.origin === "environment") {
        told.textContent = t("Saved, but {variable} comes first.", { variable });
      } else if (key) {
        told.textContent = t("Saved.");
      } else {
        const command = `upscale-bridge keys remove ${row.name}`;
        const rest = t("The shell has set another: {command}", { command });
        told.textContent = row.origin === "file" ? rest : t("Removed.");
      }
    } catch (error) {
      wrong.textContent = /** @type {Error} */ (error).message;
    }
    save.disabled = !field.value.trim();
    remove.disabled = false;
    field.focus();
  };
  field.addEventListener("input", () => (save.disabled = !field.value.trim()));
  field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.isComposing && !save.disabled) change(field.value);
  });
  save.addEventListener("click", () => change(field.value));
  remove.addEventListener("click", () => change(""));
  test.addEventListener("click", async () => {
    if (test.ariaDisabled === "true") return;
    // Not `disabled`, which would take the focus away.
    [told.textContent, wrong.textContent, test.ariaDisabled] = [t("Asking"), "", "true"];
    try {
      told.textContent = (await call("keys/test", { name: row.name })).text;
    } catch (error) {
      [told.textContent, wrong.textContent] = ["", /** @type {Error} */ (error).message];
    }
    test.ariaDisabled = "false";
  });
  show(row);

  const head = make("div", {}, make("h3", {}, title));
  if (row.page.startsWith("https://")) {
    const label = t("Get a key from {title} (opens a new tab)", { title });
    const link = { href: row.page, target: "_blank", rel: "noopener", "aria-label": label };
    head.append(make("a", link, t("Get a key")));
  }
  return make("section", {}, head, state, make("div", {}, field, save, test, remove), told, wrong);
}

async function open() {
  addStyle("upscale-bridge-keys-style", STYLE);
  const heading = make("h2", { id: "upscale-bridge-keys-title" }, t("Upscale Bridge: API keys"));
  const about = t(
    "Kept on the machine that runs ComfyUI, never in a workflow, never shown again.",
  );
  const rows = make("p", { role: "status" }, t("Loading"));
  const close = make("button", { type: "button" }, t("Close"));
  const dialog = /** @type {HTMLDialogElement} */ (
    make(
      "dialog",
      { className: "upscale-bridge-keys", "aria-labelledby": heading.id },
      make("header", {}, heading, make("p", {}, about)),
      rows,
      make("footer", {}, close),
    )
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  // What is typed here is not for ComfyUI's shortcuts, nor Escape for a dialog below this one.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  try {
    rows.replaceWith(...(await ask()).map(draw));
    dialog.querySelector("input")?.focus();
  } catch (error) {
    rows.replaceWith(make("p", { role: "alert" }, /** @type {Error} */ (error).message));
  }
}

app.registerExtension({
  name: COMMAND,
  commands: [{ id: COMMAND, label: TITLE, icon: "pi pi-key", function: open }],
  menuCommands: [{ path: ["Extensions"], commands: [COMMAND] }],
  settings: [
    {
      id: COMMAND,
      name: "API keys of remote services",
      category: ["Upscale Bridge", "API keys", "API keys"],
      type: () => {
        const button = make("button", { type: "button", style: BOX }, t("Set API keys"));
        button.addEventListener("click", open);
        return button;
      },
      defaultValue: null,
    },
  ],
});
