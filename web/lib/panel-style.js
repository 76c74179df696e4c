// @ts-check
// How a node's panel looks.

import { addStyle, BOX, FOCUS } from "./dom.js";

const STYLE = `
.upscale-bridge-panel {
  display: flex; flex-direction: column; gap: 0.35rem; box-sizing: border-box; padding: 0.25rem;
  color: var(--input-text, #ddd); font: 12px/1.4 system-ui, sans-serif; overflow: hidden;
  & > :empty { display: none; }
  & p { margin: 0; padding-left: 0.5rem; border-left: 3px solid #888; overflow-wrap: anywhere; }
  & p[data-level="missing"] { border-color: #e5484d; }
  & p[data-level="warning"] { border-color: #e2a336; }
  & p[data-level="done"] { border-color: #30a46c; }
  & button { ${BOX} font-size: 12px; padding: 0.15rem 0.6rem; margin: 0.2rem 0.4rem 0 0;
    cursor: pointer; }
  & button:hover { border-color: currentcolor; }
  & button:focus-visible { ${FOCUS} }
  & progress { width: 100%; accent-color: #4c9ffe; }
  & .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; padding: 0;
    margin: 0.3rem 0 0; border: none; background: none; width: 100%; }
  & .pair img { width: 100%; height: 110px; object-fit: contain; display: block; }
}`;

/** Add it to the page. */
export const addPanelStyle = () => addStyle("upscale-bridge-panel-style", STYLE);
