import assert from "node:assert/strict";
import { test } from "node:test";

import { say, speak, t } from "../../web/lib/texts.js";

test("without a translation a text is English", () => {
  speak(() => undefined);
  assert.equal(t("{name} is here.", { name: "A" }), "A is here.");
  assert.equal(t("{name} of {missing}", { name: "A" }), "A of undefined");
});

test("a text is translated before its values are put in", () => {
  speak(() => ({ "{name} has {size}": "{size} : {name}" }));
  assert.equal(t("{name} has {size}", { name: "A", size: 3 }), "3 : A");
  assert.equal(t("{name} has {size}", { name: "{size}", size: 3 }), "3 : {size}");
});

test("texts inside a text are translated too", () => {
  speak(() => ({ "First. {terms}.": "D’abord. {terms}.", "{count} MB": "{count} Mo", ended: "fini" }));
  const terms = { english: "{count} MB", values: { count: 9 } };
  assert.equal(say({ english: "First. {terms}.", values: { terms } }), "D’abord. 9 Mo.");
  assert.equal(t("First. {terms}.", { terms: "ended" }), "D’abord. fini.");
});

test("the language may change at any time", () => {
  let language = { Save: "Speichern" };
  speak(() => language);
  assert.equal(t("Save"), "Speichern");
  language = { Save: "保存" };
  assert.equal(t("Save"), "保存");
});
