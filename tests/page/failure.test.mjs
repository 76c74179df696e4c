import assert from "node:assert/strict";
import { test } from "node:test";

import { read } from "../../web/lib/failure.js";

test("a sentence stands without the name of its class", () => {
  const found = read("CostLimitError: The run would cost $3.\n");
  assert.deepEqual(found, { text: "The run would cost $3.", key: false, model: "", local: "" });
  assert.equal(read("something else: broke").text, "something else: broke");
});

test("the ways on are those that the sentence names", () => {
  const key = read(
    "MissingKeyError: There is no key for Photio. Or set when_unavailable to 'run locally'.",
  );
  assert.deepEqual([key.key, key.local, key.model], [true, "run locally", ""]);
  assert.equal(read("AuthError: Photio answered HTTP 401.").key, true);
  const model = read(
    "ModelNotFoundError: 4x-UltraSharp is not on this machine. Fetch it by `upscale-bridge models " +
      "download 4x-UltraSharp` (67 MB), or set when_unavailable to 'run locally, download if " +
      "needed' or 'run locally with any model'.",
  );
  assert.deepEqual([model.model, model.local], ["4x-UltraSharp", "run locally, download if needed"]);
});
