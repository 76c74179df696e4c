import assert from "node:assert/strict";
import { test } from "node:test";

import { changed, parse } from "../../web/lib/form.js";

const field = (more) => ({
  ...{ name: "x", kinds: ["string"], choices: [], default: null, minimum: null, maximum: null },
  ...{ help: "", required: false, ...more },
});

test("options are an object or nothing", () => {
  assert.deepEqual(parse(' {"a": 1} '), { a: 1 });
  assert.deepEqual(parse(" "), {});
  for (const text of ["[]", "3", "null", "{", '"a"']) assert.equal(parse(text), null);
});

test("what the form does not know stays", () => {
  assert.equal(changed('{"other": [1, null], "x": "a"}', field(), "b"), '{"other":[1,null],"x":"b"}');
  assert.equal(changed('{"other": {"x": 1}, "x": "a"}', field(), ""), '{"other":{"x":1}}');
  assert.equal(changed("", field(), ""), "{}");
});

test("a value has the type of its field", () => {
  const cases = [
    [field(), "12", "12"],
    [field({ kinds: ["integer"] }), "12", 12],
    [field({ kinds: ["number", "null"] }), "0.5", 0.5],
    [field({ kinds: ["boolean"] }), "true", true],
    [field({ kinds: ["array"] }), "[1, 2]", [1, 2]],
    [field({ kinds: ["integer"], choices: [2, 4] }), "4", 4],
    [field({ choices: ["2", 2] }), "2", "2"],
    [field({ kinds: [] }), "plain words", "plain words"],
    [field({ kinds: ["number"] }), "many", "many"],
  ];
  for (const [one, text, value] of cases) {
    assert.deepEqual(JSON.parse(changed("{}", one, text)), { x: value });
  }
});
