// @ts-check
// Brings the translations of the pack's own texts; ComfyUI translates nodes and menus itself.

// @ts-ignore (ComfyUI serves it)
import { app } from "../../scripts/app.js";
// @ts-ignore (ComfyUI serves it)
import { api } from "../../scripts/api.js";

import { speak } from "./lib/texts.js";

app.registerExtension({
  name: "UpscaleBridge.Texts",
  async setup() {
    const all = await api.getCustomNodesI18n();
    speak(() => all[app.extensionManager.setting.get("Comfy.Locale")]?.upscaleBridge);
  },
});
