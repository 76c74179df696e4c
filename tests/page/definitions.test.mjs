import assert from "node:assert/strict";
import { test } from "node:test";

import { comesFrom, folderOf, takesPixels } from "../../web/lib/definitions.js";

test("the folder is read from a script's own address", () => {
  for (const [address, folder] of [
    ["http://127.0.0.1:8188/extensions/upscale-bridge/nodes.js", "upscale-bridge"],
    ["https://host/behind/a/proxy/extensions/Upscale.Bridge/nodes.js?v=1", "Upscale.Bridge"],
    ["http://127.0.0.1:8188/extensions/Upscale%20Bridge%20(copy)/nodes.js", "Upscale Bridge (copy)"],
    ["http://127.0.0.1:8188/extensions/%E6%94%BE%E5%A4%A7/nodes.js", "放大"],
  ]) {
    assert.equal(folderOf(address), folder);
  }
});

test("a node is ours when its module is our folder", () => {
  const told = (module) => ({ name: "PhotioUpscale", python_module: module });
  assert.ok(comesFrom(told("custom_nodes.upscale-bridge"), "upscale-bridge"));
  for (const module of ["nodes", "custom_nodes.upscale-bridge-2", "custom_nodes.other", undefined]) {
    assert.ok(!comesFrom(told(module), "upscale-bridge"), module);
  }
});

test("nodes that take images or a video are asked before a run", () => {
  const model = [["A", "B"], { default: "A" }];
  const node = (required, optional) => ({ name: "A", input: { required, optional } });
  assert.ok(takesPixels(node({ image: ["IMAGE", {}], model })));
  assert.ok(takesPixels(node({ video: ["VIDEO"] })));
  assert.ok(takesPixels(node({ model }, { image: ["IMAGE", {}] })));
  assert.ok(!takesPixels(node({ task_id: ["STRING", {}], made_by: model }, { mask: ["MASK", {}] })));
  assert.ok(!takesPixels(node(undefined, undefined)));
  assert.ok(!takesPixels({ name: "A" }));
});
