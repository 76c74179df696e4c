import assert from "node:assert/strict";
import { test } from "node:test";

import { Place } from "../../web/lib/compare.js";

/** @param {Place} place @param {number} x @param {number} y */
const shownAt = (place, x, y) => [place.left + x * place.zoom, place.top + y * place.zoom];

test("the whole picture fits into the stage, in its middle", () => {
  const place = new Place(400, 100);
  place.fit(200, 200);
  assert.deepEqual(shownAt(place, 0, 0), [0, 75]);
  assert.deepEqual(shownAt(place, 400, 100), [200, 125]);
});

test("the point under the cursor stays where it is", () => {
  const place = new Place(4096, 2731);
  place.fit(1000, 700);
  const pixel = [(300 - place.left) / place.zoom, (200 - place.top) / place.zoom];
  for (const factor of [1.25, 3, 0.4, 7]) {
    place.scale(factor, 300, 200);
    const [x, y] = shownAt(place, pixel[0], pixel[1]);
    assert.ok(Math.abs(x - 300) < 1e-6 && Math.abs(y - 200) < 1e-6, `${x}, ${y}`);
  }
});

test("zoom has limits", () => {
  const place = new Place(1000, 500);
  place.scale(1e9, 0, 0);
  assert.equal(place.zoom, 16);
  place.scale(1e-9, 0, 0);
  assert.equal(place.zoom, 0.064);
});
