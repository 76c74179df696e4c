// @ts-check
// A form for the options of a model, which a node keeps as JSON in one widget.

import { addStyle, after, BOX, FOCUS, make } from "./dom.js";
import { t } from "./texts.js";

const STYLE = `
.upscale-bridge-form {
  display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 0.25rem 0.5rem;
  align-items: center;
  & label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  & input, & select { ${BOX} font-size: 12px; padding: 0.1rem 0.4rem; width: 100%; min-width: 0;
    box-sizing: border-box; }
  & :focus-visible { ${FOCUS} }
  & [aria-invalid="true"] { border-color: #e5484d; }
}`;

/**
 * @typedef {{name: string, kinds: string[], choices: any[], default: any, minimum: number | null,
 *   maximum: number | null, help: string, required: boolean}} Field
 */

/** The options that a text holds, null when it is no JSON object. @param {string} text */
export function parse(text) {
  if (!text.trim()) return {};
  try {
    const found = JSON.parse(text);
    return found && typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

/** How a value stands in a form. @param {any} value */
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/**
 * What was typed for a field: a number, a list and so on, a text where it is none of these.
 * @param {Field} field @param {string} text
 */
function meant(field, text) {
  const chosen = field.choices.find((choice) => shown(choice) === text);
  if (chosen !== undefined) return chosen;
  if (field.kinds.length && field.kinds.every((kind) => kind === "string")) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * The options with one of them changed, an empty text takes it out; all others stay.
 * @param {string} options @param {Field} field @param {string} text
 */
export function changed(options, field, text) {
  const found = parse(options) ?? {};
  if (text === "") delete found[field.name];
  else found[field.name] = meant(field, text);
  return JSON.stringify(found);
}

/** The form of one node. */
export class Form {
  /** @param {() => string} read gives the options @param {(text: string) => void} write keeps them */
  constructor(read, write) {
    addStyle("upscale-bridge-form-style", STYLE);
    this.read = read;
    this.write = write;
    /** @type {Map<string, {field: Field, control: HTMLInputElement | HTMLSelectElement}>} */
    this.controls = new Map();
    this.element = make("div", { className: "upscale-bridge-form" });
  }

  /** Draw the parameters of a model; null for one that nobody knows. @param {Field[] | null} fields */
  draw(fields) {
    this.controls.clear();
    const parts = (fields ?? []).flatMap((field) => {
      const control = field.choices.length || field.kinds.includes("boolean") ? list(field) : box(field);
      control.title = field.help;
      control.setAttribute("aria-label", field.name);
      control.addEventListener("change", () => this.keep(field, control.value));
      this.controls.set(field.name, { field, control });
      return [make("label", { title: field.help }, field.name + (field.required ? " *" : "")), control];
    });
    this.element.replaceChildren(...parts);
    this.update();
  }

  /** Show the options as they are now. */
  update() {
    const options = parse(this.read());
    for (const [name, { control }] of this.controls) {
      control.disabled = options === null;
      const value = options?.[name];
      const text = value === undefined || value === null ? "" : shown(value);
      if (control instanceof HTMLSelectElement && ![...control.options].some((o) => o.value === text)) {
        control.append(make("option", { value: text }, text));
      }
      control.value = text;
    }
  }

  /** Keep what was chosen, and all options that the form does not know. @param {Field} field @param {string} text */
  keep(field, text) {
    this.write(changed(this.read(), field, text));
  }
}

/** @param {Field} field */
const usual = (field) =>
  field.default === null || field.default === undefined
    ? t("the model's default")
    : t("default: {value}", { value: shown(field.default) });

/** @param {Field} field */
function list(field) {
  const values = field.choices.length ? field.choices.map(shown) : ["true", "false"];
  const first = make("option", { value: "" }, usual(field));
  return make("select", {}, first, ...values.map((value) => make("option", { value }, value)));
}

/** @param {Field} field */
function box(field) {
  const number = field.kinds.some((kind) => kind === "number" || kind === "integer");
  const control = make("input", { type: number ? "number" : "text", placeholder: usual(field) });
  if (number) {
    control.step = field.kinds.includes("number") ? "any" : "1";
    if (field.minimum !== null) control.min = String(field.minimum);
    if (field.maximum !== null) control.max = String(field.maximum);
  }
  return control;
}

/**
 * Add the form of a node whose options a model of a catalogue describes; return what draws it anew,
 * null for another node. @param {any} node
 * @param {HTMLElement} place
 * @param {(model: string) => Promise<any>} look asks for all models and the parameters of one
 * @param {() => void} redraw
 */
export function addForm(node, place, look, redraw) {
  const find = (/** @type {string} */ name) =>
    node.widgets?.find((/** @type {any} */ widget) => widget.name === name);
  const [model, options] = [find("model"), find("options")];
  if (!model || !options) return null;
  const form = new Form(
    () => String(options.value ?? ""),
    (text) => {
      options.value = text;
      options.callback?.(text);
      redraw();
    },
  );
  place.prepend(form.element);
  const draw = async () => {
    const name = model.value;
    try {
      const { models, fields } = await look(name);
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
