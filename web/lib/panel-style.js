// @ts-check
// How a node's panel looks.

import { addStyle, BOX, FOCUS } from "./dom.js";

const STYLE = `
.upscale-bridge-panel {
  display: flex; flex-direction: column; gap: 0.4rem; box-sizing: border-box; padding: 0.25rem;
  color: var(--input-text, #ddd); font-family: inherit; font-size: 12px; line-height: 1.4;
  overflow: hidden;
  & > :empty, & [hidden] { display: none !important; }
  & > div[role="status"], & > div:not(.picture, .upscale-bridge-form) {
    display: flex; flex-direction: column; gap: 0.4rem; }
  & p { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
  & p[data-level="missing"], & p[data-level="warning"] { padding-left: 0.5rem;
    border-left: 3px solid #e2a336; }
  & p[data-level="missing"] { border-color: #e5484d; }
  & button.way { ${BOX} font-size: 12px; line-height: 1.4; padding: 0.05rem 0.5rem;
    margin: 0.1rem 0 0.1rem 0.5rem; cursor: pointer; }
  & button.way:hover { border-color: currentcolor; }
  & button:focus-visible { ${FOCUS} }
  & progress { width: 100%; accent-color: #4c9ffe; }
  & > * { flex: none; }
  & .picture { position: relative; width: 100%; max-height: 200px; min-height: 60px;
    border-radius: 0.4rem; overflow: hidden; }
  & .picture:not([style]) { aspect-ratio: 16 / 10; }
  & .picture :is(button, img, .pair) { position: absolute; inset: 0; width: 100%; height: 100%; }
  & .picture img { object-fit: contain; pointer-events: none; }
  & .picture button { padding: 0; border: none; background: none; cursor: ew-resize;
    touch-action: pan-y; }
  & .picture button:focus-visible { outline-offset: -2px; }
  & .picture .after { clip-path: inset(0 0 0 var(--at)); }
  & .picture i { position: absolute; top: 0; bottom: 0; left: calc(var(--at) - 1px); width: 2px;
    background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
}`;

/** Add it to the page. */
export const addPanelStyle = () => addStyle("upscale-bridge-panel-style", STYLE);
