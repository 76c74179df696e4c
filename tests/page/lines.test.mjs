import assert from "node:assert/strict";
import { test } from "node:test";

import { about, sizes, time } from "../../web/lib/lines.js";

test("sizes are told with signs, and the first one only where it is known", () => {
  assert.equal(sizes([512, 384], [2048, 1536]), "512 × 384 → 2048 × 1536 px");
  for (const from of [null, undefined, [0, 0]]) assert.equal(sizes(from, [64, 48]), "64 × 48 px");
});

test("times are as exact as they need to be", () => {
  const told = [0.04, 3.14, 9.96, 42.4, 119.4, 120, 3725].map(time);
  const wanted = ["0.0 s", "3.1 s", "10 s", "42 s", "119 s", "2 min 0 s", "62 min 5 s"];
  assert.deepEqual(told, wanted);
});

test("a run is told in one line, of many images how many they are", () => {
  const one = { how: [], from: [64, 48], size: [128, 96], count: 1, seconds: 2 };
  assert.equal(about(one), "64 × 48 → 128 × 96 px · 2.0 s");
  const many = { ...one, how: ["local", "new", "reused"], count: 4, cost: "$0.02" };
  const said = "4 images · 2.0 s · made on this machine · reused · $0.02";
  assert.equal(about(many), `64 × 48 → 128 × 96 px · ${said}`);
  const video = { ...one, frames: 240 };
  assert.equal(about(video), "64 × 48 → 128 × 96 px · 240 frames · 2.0 s");
  assert.equal(about({ ...one, frames: 1 }), about(one));
});
