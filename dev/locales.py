"""Draw the English texts of ComfyUI's page, which the other languages in `locales/` translate.

python dev/locales.py           # all of them, as a translator needs them
python dev/locales.py --write   # those that ComfyUI needs as files

ComfyUI merges `locales/LANGUAGE/*.json` of every pack into its page's messages. Other languages
are written by hand, with the same keys; in them only the displayed texts differ, never what a
workflow saves. What a language lacks is shown in English, a node's texts from its definition and
the page's own from its scripts: so that English needs no file of these, and a new node no language.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = ROOT / "locales" / "en"

Json = dict[str, Any]

KEYS = "Upscale Bridge: API keys"
TASKS = "Upscale tasks"
TASKS_TOOLTIP = "Upscale tasks: resume, open or forget what was paid for"

OWN = "upscaleBridge"
"""Where the page's own texts stand; it looks them up by their English."""

PAGE: dict[str, Json] = {
    "main": {  # the page asks for a sidebar tab's texts by themselves
        TASKS: TASKS,
        TASKS_TOOLTIP: TASKS_TOOLTIP,
        "menuLabels": {KEYS: KEYS},
        "settingsCategories": {"API keys": "API keys"},
    },
    "commands": {
        "UpscaleBridge_Keys": {"label": KEYS},
        "Workspace_ToggleSidebarTab_upscale-bridge-tasks": {"label": f"Toggle {TASKS} Sidebar"},
    },
    "settings": {"UpscaleBridge_Keys": {"name": "API keys of remote services"}},
}
"""What the scripts in `web/` say through ComfyUI; dots of an id are underscores in a key."""


def files() -> dict[str, Json]:
    """Return what each file holds, by its name without `.json`."""
    pack = load_pack()
    titles = pack.NODE_DISPLAY_NAME_MAPPINGS
    nodes = {name: draw(titles[name], node) for name, node in pack.NODE_CLASS_MAPPINGS.items()}
    texts = {*said_by_scripts(), *said_by_the_core(), *announced(pack)}
    own = {text: text for text in sorted(texts)}
    return {**PAGE, "main": {**PAGE["main"], OWN: own}, "nodeDefs": nodes}


def said_by_scripts() -> Iterator[str]:
    """Yield what the scripts say themselves: t("...")."""
    for path in sorted((ROOT / "web").rglob("*.js")):
        for text in re.findall(r'\bt\(\s*("(?:[^"\\]|\\.)*")', path.read_text("utf-8")):
            yield json.loads(text)


def said_by_the_core(folder: Path = ROOT / "upscale_bridge") -> Iterator[str]:
    """Yield the sentences of all `Text`s in a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Text":
                yield ast.literal_eval(node.args[0])


def announced(pack: Any) -> Iterator[str]:
    """Yield what vendors announced about the end of their APIs; it stands inside other texts."""
    for node in pack.NODE_CLASS_MAPPINGS.values():
        if text := getattr(node.OPERATION, "retirement", ""):
            yield text


def load_pack() -> Any:
    """Import the pack as ComfyUI does, as far as that goes without ComfyUI."""
    spec = importlib.util.spec_from_file_location("drawn_pack", ROOT / "__init__.py")
    if spec is None or spec.loader is None:
        raise ImportError(ROOT)
    pack = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    host: Any = importlib.import_module(f"{spec.name}.nodes.host")
    host.model_folders = list  # ComfyUI knows the folders; no text depends on them
    return pack


def draw(title: str, node: Any) -> Json:
    """Return the texts of one node; inputs keep the names by which documents call them."""
    inputs = {
        name: {"name": name, "tooltip": options["tooltip"]}
        for group in node.INPUT_TYPES().values()
        for name, (_, options) in group.items()
    }
    outputs = {
        str(index): {"name": name, "tooltip": tooltip}
        for index, (name, tooltip) in enumerate(
            zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True)
        )
    }
    return {
        "display_name": title,
        "description": node.DESCRIPTION,
        "inputs": inputs,
        "outputs": outputs,
    }


def as_text(content: Json) -> str:
    """Return a file's text."""
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        ENGLISH.mkdir(parents=True, exist_ok=True)
        for stem, content in PAGE.items():
            (ENGLISH / f"{stem}.json").write_text(as_text(content), encoding="utf-8")
    else:
        print(as_text(files()))
