// @ts-check

/** @type {[number, string][]} */
const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** Return in words how long something is ago. @param {number} seconds */
export function age(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.round(seconds / size)} ${unit} ago`;
  }
  return "just now";
}
