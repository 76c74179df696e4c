// @ts-check

import { t } from "./texts.js";

/** Return in words how long something is ago. @param {number} seconds */
export function age(seconds) {
  const in_ = (/** @type {number} */ unit) => ({ count: Math.round(seconds / unit) });
  if (seconds >= 86400) return t("{count} d ago", in_(86400));
  if (seconds >= 3600) return t("{count} h ago", in_(3600));
  if (seconds >= 60) return t("{count} min ago", in_(60));
  return t("just now");
}
