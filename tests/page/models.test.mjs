import assert from "node:assert/strict";
import { test } from "node:test";

import { addLabels, label } from "../../web/lib/models.js";

test("a model that is not here shows how much would be downloaded", () => {
  const sizes = { "4x-Large": 67_025_000, "1x-Tiny": 120_000, unknown: null };
  assert.equal(label("4x-Large", sizes), "4x-Large  ↓ 67 MB");
  assert.equal(label("1x-Tiny", sizes), "1x-Tiny  ↓ 1 MB");
  assert.equal(label("unknown", sizes), "unknown  ↓");
  for (const name of ["deep/here", ""]) assert.equal(label(name, sizes), name);
});

test("a long list keeps the field to search in, where labels would take it", () => {
  globalThis.window = { LiteGraph: { vueNodesMode: false } };
  const listOf = (count) => {
    const widget = { name: "model", options: { values: Array(count).fill("a") } };
    addLabels({ comfyClass: "LocalESRGANUpscale", widgets: [widget] });
    return widget.options;
  };
  assert.equal(listOf(40).getOptionLabel("a"), "a");
  assert.equal(listOf(41).getOptionLabel, undefined);
  window.LiteGraph.vueNodesMode = true;
  assert.equal(listOf(41).getOptionLabel(null), "");
});

test("models of services are not marked", () => {
  const widget = { name: "model", options: { values: ["a"] } };
  addLabels({ comfyClass: "WaveSpeedUpscale", widgets: [widget] });
  assert.equal(widget.options.getOptionLabel, undefined);
});
