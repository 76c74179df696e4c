import assert from "node:assert/strict";
import { test } from "node:test";

import { age } from "../../web/lib/age.js";
import { nodeOf, originOf, source, values } from "../../web/lib/inputs.js";

const address = (path) => "/api" + path;
const nodeAfter = (origin) => ({
  inputs: [{ name: "mask" }, { name: "image" }],
  getInputNode: (slot) => (slot === 1 ? origin : null),
});

test("values are those of the node's own widgets", () => {
  const node = {
    widgets: [
      { name: "scale_factor", value: 2 },
      { name: "model", value: "A" },
      { name: "upscale_bridge", value: "", serialize: false },
    ],
    inputs: [
      { name: "image", link: 3 },
      { name: "model", link: 7, widget: { name: "model" } },
      { name: "scale_factor", link: null, widget: { name: "scale_factor" } },
    ],
  };
  assert.deepEqual(values(node), { scale_factor: 2 });
  assert.deepEqual(values({}), {});
});

test("the picture of Load Image is known before a run", () => {
  for (const [value, query] of [
    ["cat.png", "filename=cat.png&subfolder=&type=input"],
    ["pets/my cat.png", "filename=my+cat.png&subfolder=pets&type=input"],
    ["a/b/c.png [output]", "filename=c.png&subfolder=a%2Fb&type=output"],
  ]) {
    const origin = { comfyClass: "LoadImage", widgets: [{ name: "image", value }] };
    assert.equal(source(originOf(nodeAfter(origin)), address), `/api/view?${query}`);
  }
});

test("the video of Load Video is known before a run", () => {
  const origin = { comfyClass: "LoadVideo", widgets: [{ name: "file", value: "a/cat.mp4" }] };
  const node = { inputs: [{ name: "video" }], getInputNode: () => origin };
  assert.equal(source(originOf(node), address), "/api/view?filename=cat.mp4&subfolder=a&type=input");
});

test("other nodes tell once they show a picture", () => {
  assert.equal(source({ imgs: [{ src: "/view?x" }] }, address), "/view?x");
  assert.equal(source({}, address), null);
  assert.equal(source(null, address), null);
});

test("a node may have no image yet", () => {
  assert.equal(originOf(nodeAfter(null)), null);
  assert.equal(originOf({ inputs: [] }), null);
  assert.equal(originOf({}), null);
});

test("ages are told in one unit", () => {
  const told = [0, 59, 60, 3599, 3600, 86_399, 86_400, 10 * 86_400].map(age);
  const wanted = ["just now", "just now", "1 min ago", "60 min ago", "1 h ago", "24 h ago"];
  assert.deepEqual(told, [...wanted, "1 d ago", "10 d ago"]);
});

test("a run's id leads to a node, also inside subgraphs", () => {
  const graphOf = (nodes) => ({ getNodeById: (id) => nodes[id] ?? null });
  const inner = { name: "inner" };
  const graph = graphOf({ 2: { name: "outer" }, 5: { subgraph: graphOf({ 2: inner }) } });
  assert.equal(nodeOf(graph, "2").name, "outer");
  assert.equal(nodeOf(graph, "5:2"), inner);
  assert.equal(nodeOf(graph, "2:5") ?? null, null);
  assert.equal(nodeOf(graph, "9") ?? null, null);
});
