import assert from "node:assert/strict";
import { test } from "node:test";

import { age } from "../../web/lib/age.js";
import { isKnown, nodeOf, originOf, source, values } from "../../web/lib/inputs.js";

const address = (path) => "/api" + path;

/** A graph of nodes by id and of links by id: [from, its output, to, its input]. */
function graphOf(nodes, links = {}, more = {}) {
  const made = { ...more, nodes: Object.values(nodes), links: new Map() };
  for (const [id, [origin_id, origin_slot, target_id, target_slot]] of Object.entries(links)) {
    made.links.set(Number(id), { id, origin_id, origin_slot, target_id, target_slot });
  }
  made.getNodeById = (id) => nodes[id] ?? null;
  for (const [id, node] of Object.entries(nodes)) Object.assign(node, { id, graph: made });
  return made;
}

/** A node of ours whose image another one gives. */
function nodeAfter(origin, name = "image") {
  const node = { inputs: [{ name: "mask", link: null }, { name, link: origin ? 1 : null }] };
  graphOf(origin ? { 1: origin, 2: node } : { 2: node }, origin ? { 1: [1, 0, 2, 1] } : {});
  return node;
}

/** The same in a subgraph, whose node stands in another graph after the one that gives the image. */
function nodeInside(origin, outer = {}) {
  const node = {
    inputs: [
      { name: "image", link: 1 },
      { name: "model", link: 2, widget: { name: "model" } },
    ],
    widgets: [
      { name: "model", value: "inner" },
      { name: "scale_factor", value: 3 },
    ],
  };
  const subgraph = graphOf({ 9: node }, { 1: [-10, 0, 9, 0], 2: [-10, 1, 9, 1] });
  const host = {
    subgraph,
    inputs: [
      { name: "picture", link: origin ? 1 : null },
      { name: "model", link: null, widget: { name: "model" } },
    ],
    widgets: [{ name: "model", value: "outer" }],
    ...outer,
  };
  const root = graphOf({ 5: host, ...(origin && { 1: origin }) }, origin ? { 1: [1, 0, 5, 0] } : {});
  root.subgraphs = new Map([["s", subgraph]]);
  subgraph.rootGraph = root;
  return node;
}

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
  assert.equal(source(originOf(nodeAfter(origin, "video")), address), "/api/view?filename=cat.mp4&subfolder=a&type=input");
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

test("a node in a subgraph gets what its subgraph gets", () => {
  const origin = { comfyClass: "LoadImage" };
  assert.equal(originOf(nodeInside(origin)), origin);
  assert.equal(originOf(nodeInside(null)), null);
});

test("a value may stand on the subgraph's node", () => {
  assert.deepEqual(values(nodeInside(null)), { model: "outer", scale_factor: 3 });
  const fed = { inputs: [{ name: "picture", link: null }, { name: "model", link: 1 }] };
  assert.deepEqual(values(nodeInside({}, fed)), { scale_factor: 3 });
  assert.ok(isKnown(nodeInside(null), values(nodeInside(null))));
  assert.ok(!isKnown(nodeInside({}, fed), values(nodeInside({}, fed))));
});

test("an image may come out of a subgraph, or through a reroute", () => {
  const origin = { comfyClass: "LoadImage" };
  const inner = graphOf({ 3: origin }, { 4: [3, 0, -20, 0] }, { outputs: [{ linkIds: [4] }] });
  assert.equal(originOf(nodeAfter({ subgraph: inner })), origin);
  const empty = graphOf({}, {}, { outputs: [{ linkIds: [] }] });
  assert.equal(originOf(nodeAfter({ subgraph: empty })), null);
  const node = { inputs: [{ name: "image", link: 2 }] };
  const through = { type: "Reroute", inputs: [{ name: "", link: 1 }] };
  graphOf({ 1: origin, 2: through, 3: node }, { 1: [1, 0, 2, 0], 2: [2, 0, 3, 0] });
  assert.equal(originOf(node), origin);
});

test("a node that was taken away has no image and no error", () => {
  const node = nodeAfter({ comfyClass: "LoadImage" });
  node.graph = null;
  assert.equal(originOf(node), null);
  assert.deepEqual(values(node), {});
});

test("ages are told in one unit", () => {
  const told = [0, 59, 60, 3599, 3600, 86_399, 86_400, 10 * 86_400].map(age);
  const wanted = ["just now", "just now", "1 min ago", "60 min ago", "1 h ago", "24 h ago"];
  assert.deepEqual(told, [...wanted, "1 d ago", "10 d ago"]);
});

test("a run's id leads to a node, also inside subgraphs", () => {
  const inner = { name: "inner" };
  const graph = graphOf({ 2: { name: "outer" }, 5: { subgraph: graphOf({ 2: inner }) } });
  assert.equal(nodeOf(graph, "2").name, "outer");
  assert.equal(nodeOf(graph, "5:2"), inner);
  assert.equal(nodeOf(graph, "2:5") ?? null, null);
  assert.equal(nodeOf(graph, "9") ?? null, null);
});
