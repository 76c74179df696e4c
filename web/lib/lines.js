// @ts-check
// The line before a run and the line after it.

import { t } from "./texts.js";

/**
 * @typedef {{filename: string, subfolder: string, type: string}} File
 * @typedef {{how: string[], from?: number[], size: number[], count?: number, frames?: number,
 *   seconds: number, cost?: string, before?: File, after?: File}} Result
 */

/**
 * Two sizes, "512 × 512 → 2048 × 2048 px"; of the first one it is not always known.
 * @param {number[] | null | undefined} from @param {number[]} to
 */
export function sizes(from, to) {
  const all = from?.every(Boolean) ? [from, to] : [to];
  return `${all.map(([width, height]) => `${width} × ${height}`).join(" → ")} px`;
}

/** A time in words. @param {number} seconds */
export function time(seconds) {
  const whole = Math.round(seconds);
  if (whole < 10) return t("{seconds} s", { seconds: seconds.toFixed(1) });
  if (whole < 120) return t("{seconds} s", { seconds: whole });
  return t("{m} min {s} s", { m: Math.floor(whole / 60), s: whole % 60 });
}

/** What a run has made, in a line. @param {Result} result */
export function about({ how, from, size, count = 1, frames, seconds, cost }) {
  const words = {
    ...{ joined: t("joined"), resumed: t("resumed"), reused: t("reused") },
    local: t("made on this machine"),
  };
  return [
    sizes(from, size),
    frames && frames > 1 && t("{count} frames", { count: frames }),
    count > 1 && t("{count} images", { count }),
    time(seconds),
    ...how.map((way) => words[/** @type {keyof typeof words} */ (way)]),
    cost,
  ]
    .filter(Boolean)
    .join(" · ");
}
