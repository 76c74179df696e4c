import assert from "node:assert/strict";
import { test } from "node:test";

import { had, same, shownBy } from "../../web/lib/history.js";

const prompt = (factor, picture = "cat.png") => ({
  1: { class_type: "LoadImage", inputs: { image: picture } },
  2: { class_type: "LocalESRGANUpscale", inputs: { scale_factor: factor, image: ["1", 0] } },
});
const run = (nodes, shown) => ({
  prompt: [0, "id", nodes],
  outputs: shown ? { 2: { upscale_bridge: [shown] } } : {},
});

test("a node is the same when it and all before it are", () => {
  assert.ok(same(prompt(2), prompt(2), "2"));
  assert.ok(!same(prompt(2), prompt(3), "2"));
  assert.ok(!same(prompt(2), prompt(2, "dog.png"), "2"));
  assert.ok(!same(prompt(2), {}, "2"));
});

test("a list that is no link is only compared", () => {
  const nodes = { 1: { class_type: "A", inputs: { pair: [7, 8] } } };
  assert.ok(same(nodes, structuredClone(nodes), "1"));
});

test("another workflow's node of the same id is told apart", () => {
  const one = run(prompt(2));
  assert.ok(had(one, "2", "LocalESRGANUpscale", { scale_factor: 2 }));
  assert.ok(!had(one, "2", "LocalESRGANUpscale", { scale_factor: 3 }));
  assert.ok(!had(one, "2", "PhotioUpscale", {}));
  assert.ok(!had(one, "9", "LocalESRGANUpscale", {}));
  assert.ok(!had(undefined, "2", "LocalESRGANUpscale", {}));
});

test("the newest run with the same inputs tells the result", () => {
  const runs = {
    a: run(prompt(2), "old"),
    b: run(prompt(2), "new"),
    c: run(prompt(3), "other factor"),
    d: run(prompt(2, "dog.png"), "other picture"),
    now: run(prompt(2)),
  };
  assert.equal(shownBy(runs, "now", "2"), "new");
  assert.equal(shownBy({ c: runs.c, now: runs.now }, "now", "2"), null);
  assert.equal(shownBy(runs, "unknown", "2"), null);
});
