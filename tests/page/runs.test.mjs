import assert from "node:assert/strict";
import { test } from "node:test";

import { follow, isHere, note, onRun, wasAskedBefore } from "../../web/lib/runs.js";

test("a run belongs to the workflow that was shown when it was asked for", async () => {
  let shown = "a.json";
  let answer;
  const heard = [];
  const api = new EventTarget();
  api.queuePrompt = (number) =>
    new Promise((resolve) => (answer = () => resolve({ prompt_id: `run ${number}` })));
  follow(api, () => shown);
  onRun("executed", (detail) => heard.push(detail.prompt_id));
  const asked = api.queuePrompt(1);
  shown = "b.json";
  assert.equal(isHere("run 1"), false, "it may begin before the answer is here");
  answer();
  assert.deepEqual(await asked, { prompt_id: "run 1" });
  const tell = (prompt_id) =>
    api.dispatchEvent(Object.assign(new Event("executed"), { detail: { prompt_id } }));
  assert.equal(isHere("run 1"), false);
  tell("run 1");
  shown = "a.json";
  assert.equal(isHere("run 1"), true);
  tell("run 1");
  tell("another's");
  assert.deepEqual(heard, ["run 1", "another's"]);
});

test("what nobody noted may be shown", () => {
  follow({}, () => undefined);
  note("known", { workflow: "a.json", at: 5 });
  assert.equal(isHere("known"), true, "a page that does not say what it shows");
  follow({}, () => "b.json");
  assert.equal(isHere("known"), false);
  assert.equal(isHere("another"), true);
  assert.deepEqual([4, 5, 6].map((at) => wasAskedBefore("known", at)), [false, false, true]);
  assert.equal(wasAskedBefore("another", 6), false);
  assert.equal(isHere(undefined), true);
});

test("old runs are forgotten", () => {
  follow({}, () => "b.json");
  for (let index = 0; index < 300; index += 1) note(`run ${index}`, { workflow: "a.json", at: 0 });
  assert.equal(isHere("run 0"), true);
  assert.equal(isHere("run 299"), false);
});
