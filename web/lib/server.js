// @ts-check
// Calls of the pack's own routes, and its events.

// @ts-ignore (ComfyUI serves it)
import { api } from "../../../scripts/api.js";

import { t } from "./texts.js";

const ROOT = "/upscale_bridge/";

/**
 * Return what a route answers; with a body it is a POST. Throws an Error that the user may read.
 * @param {string} path
 * @param {Record<string, any>} [body]
 * @returns {Promise<any>}
 */
export async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  const options = body && { method: "POST", headers, body: JSON.stringify(body) };
  let answer, data;
  try {
    answer = await api.fetchApi(ROOT + path, { cache: "no-store", ...options });
  } catch {
    throw new Error(t("ComfyUI cannot be reached."));
  }
  try {
    data = await answer.json();
  } catch {
    throw new Error(t("ComfyUI answered {status}; its log says more.", { status: answer.status }));
  }
  if (!answer.ok) throw new Error(String(data.error));
  return data;
}

/** Return ComfyUI's newest runs by id, oldest first. @param {number} most */
export const history = async (most) => (await api.fetchApi(`/history?max_items=${most}`)).json();

/** Call `work` with the data of every event of this name. @param {string} name @param {(data: any) => void} work */
export function listen(name, work) {
  api.addEventListener(`upscale_bridge.${name}`, (/** @type {CustomEvent} */ event) =>
    work(event.detail),
  );
}

/** Return the address of one of the pack's routes, for an image. @param {string} path */
export const address = (path) => api.apiURL(ROOT + path);

/**
 * Return the address of a file that ComfyUI shows.
 * @param {{filename: string, subfolder: string, type: string}} file
 */
export const view = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`);
