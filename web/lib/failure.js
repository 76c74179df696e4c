// @ts-check
// What an error of a node says, and what the user may do about it at once.

/**
 * @typedef {{text: string, key: boolean, model: string, local: string}} Failure
 * text: the sentence; key: a key is missing or wrong; model: the name of one that can be
 * downloaded; local: a choice of when_unavailable that would bring a result
 */

/** Read the message of ComfyUI's execution_error. @param {string} message @returns {Failure} */
export function read(message) {
  const [, name, text] = /^(\w+Error): ([^]*)$/.exec(message.trim()) ?? [null, "", message.trim()];
  return {
    text,
    key: name === "MissingKeyError" || name === "AuthError",
    model: /`upscale-bridge models download ([^`\s]+)`/.exec(text)?.[1] ?? "",
    local: /set when_unavailable to '([^']+)'/.exec(text)?.[1] ?? "",
  };
}
