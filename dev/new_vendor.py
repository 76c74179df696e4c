"""Make the place of a new vendor: code, tests, help page and workflow that run, of an invented API.

    python dev/new_vendor.py NAME "Title"
    python dev/new_vendor.py --draw NAME    # when its parameters are final: draws what follows

NAME (small letters and digits) is the shell's word and part of settings, environment variables and
journal rows; Title is what users read. Both are for ever. CONTRIBUTING.md tells what to write then.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SKELETON = ROOT / "dev" / "skeleton"
REGISTRY = ROOT / "upscale_bridge" / "vendors" / "__init__.py"
EXAMPLES = ROOT / "example_workflows"
CHANGED = (
    *("upscale_bridge/vendors/__init__.py", "README.md", "docs/NODES.md", "docs/SERVICES.md"),
)
PICTURE = "Photio Upscale.jpg"  # a thumbnail until there is one of its own

Json = dict[str, Any]


def main(name: str, title: str) -> int:
    """Make the place, enter it, and draw what follows from it."""
    prefix = re.sub(r"\W", "", title)
    problem = refusal(name, title, prefix)
    if problem:
        print(problem)
        return 2
    made = place(name, title, prefix)
    enter(name)
    made += draw_workflows(name)
    run("dev/tables.py", "--write")
    print("Made:", *(path.relative_to(ROOT).as_posix() for path in made), sep="\n  ")
    print("Changed:", *CHANGED, sep="\n  ")
    print("The API is invented; CONTRIBUTING.md, Add a vendor, tells what to write in its place.")
    return 0


def refusal(name: str, title: str, prefix: str) -> str:
    """Return why there can be no such vendor, in a sentence; empty when there can."""
    if not re.fullmatch(r"[a-z][a-z0-9]*", name):
        return f"NAME must be small letters and digits, a letter first; got {name!r}."
    if not re.fullmatch(r"[A-Z][A-Za-z0-9 ]*", title):
        return f"Title must be a name of letters, digits and blanks; got {title!r}."
    taken = [ROOT / "upscale_bridge" / "vendors" / name, *REGISTRY.parent.glob(f"{name}.py")]
    taken += [ROOT / "web" / "docs" / f"{prefix}Upscale", ROOT / "tests" / "vendors" / name]
    found = [path for path in taken if path.exists()]
    return f"{found[0].relative_to(ROOT)} is there already." if found else ""


def place(name: str, title: str, prefix: str) -> list[Path]:
    """Write the skeleton's files under the vendor's names and return their paths."""
    node = f"{prefix}Upscale"
    targets = {
        SKELETON / "vendor.py": REGISTRY.parent / f"{name}.py",
        SKELETON / "help.md": ROOT / "web" / "docs" / node / "en.md",
    }
    tests = SKELETON / "tests"
    for path in sorted(tests.rglob("*.*")):
        targets[path] = ROOT / "tests" / "vendors" / name / path.relative_to(tests)
    for source, target in targets.items():
        text = source.read_text("utf-8")
        text = re.sub(r"Acme(?=Upscale|Wire|Server)", prefix, text).replace("Acme", title)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("ACME", name.upper()).replace("acme", name), "utf-8")
    return list(targets.values())


def enter(name: str) -> None:
    """Import the vendor in the registry, and enter it at the end."""
    text = REGISTRY.read_text("utf-8")
    imports = re.search(r"^from \. import (.+)$", text, re.MULTILINE)
    entries = re.search(r"^ENTRIES = \(\n(.*?)^\)$", text, re.MULTILINE | re.DOTALL)
    if imports is None or entries is None:
        raise ValueError(f"{REGISTRY} has no longer the form that this script knows.")
    names = sorted([*imports[1].split(", "), name])
    text = text.replace(imports[0], f"from . import {', '.join(names)}", 1)
    text = text.replace(entries[1], f"{entries[1]}    {name}.ENTRY,\n", 1)
    REGISTRY.write_text(text, "utf-8")


def draw(name: str) -> None:
    """Draw what follows from the vendor's entry, and note its names, which must stay from then on.

    Raises `CalledProcessError` when names that were noted before have changed.
    """
    draw_workflows(name)
    run("dev/tables.py", "--write")
    run("-m", "tests.saved_names", "--write")


def run(*command: str) -> None:
    """Run a Python command in the root."""
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


def draw_workflows(name: str) -> list[Path]:
    """Write a workflow of each of the vendor's nodes in both formats, and a picture if it has none.

    Returns what was written.
    """
    sys.path.insert(0, str(ROOT))
    entries = importlib.import_module("upscale_bridge.vendors").ENTRIES
    (entry,) = [entry for entry in entries if entry.vendor.name == name]
    written = []
    for operation in entry.operations:
        ui = EXAMPLES / f"{operation.title}.json"
        api, picture = EXAMPLES / "api" / ui.name, ui.with_suffix(".jpg")
        ui.write_text(as_ui(operation), "utf-8")
        api.write_text(as_api(operation), "utf-8")
        written += [ui, api]
        if not picture.exists():
            shutil.copyfile(EXAMPLES / PICTURE, picture)
            written.append(picture)
    return written


def as_api(operation: Any) -> str:
    """Return load, upscale, save as scripts send it to ComfyUI."""
    values = {item.name: item.default for item in operation.params()}
    nodes = {
        "1": _call("LoadImage", "Load Image", image="example.png"),
        "2": _call(operation.__name__, operation.title, **values, image=["1", 0]),
        "3": _call("SaveImage", "Save Image", filename_prefix="upscaled", images=["2", 0]),
    }
    return _in_lines("{", [f'"{key}": {json.dumps(node)}' for key, node in nodes.items()], "}")


def _call(kind: str, title: str, **inputs: Any) -> Json:
    return {"inputs": inputs, "class_type": kind, "_meta": {"title": title}}


def as_ui(operation: Any) -> str:
    """Return the same in the form of ComfyUI's editor, a node to a line."""
    types = {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN", "text": "STRING", "choice": "COMBO"}
    items = operation.params()
    widgets = [_widget(item.name, types[item.kind]) for item in items]
    mask = {"name": "mask", "shape": 7, "type": "MASK", "link": None}
    image, result = _link("image", 1), {"name": "image", "type": "IMAGE", "links": [2]}
    rest = [_output("mask", "MASK"), _output("info", "STRING")]
    loaded = {"name": "IMAGE", "type": "IMAGE", "links": [1]}
    load_inputs = [_widget("image", "COMBO"), _widget("upload", "IMAGEUPLOAD")]
    save_inputs = [_link("images", 2), _widget("filename_prefix", "STRING")]
    name, height = operation.__name__, 118 + 24 * len(items)
    nodes = [
        _node(1, "LoadImage", 60, [320, 380], load_inputs, [loaded, _output("MASK", "MASK")])
        | {"widgets_values": ["example.png", "image"]},
        _node(2, name, 440, [400, height], [image, mask, *widgets], [result, *rest])
        | {"widgets_values": [item.default for item in items]},
        _node(3, "SaveImage", 900, [420, 460], save_inputs, []) | {"widgets_values": ["upscaled"]},
    ]
    head = {"id": "00000000-0000-0000-0000-000000000000", "revision": 0}
    head |= {"last_node_id": 3, "last_link_id": 2}
    tail = {"links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]], "groups": []}
    size = [["2", operation.size_parameter]] if operation.size_parameter else []
    app = {"inputs": [["1", "image"], *size, ["2", "upscale_bridge"]], "outputs": ["3"]}
    tail |= {"config": {}, "extra": {"linearData": app}, "version": 0.4}
    lines = _in_lines("[", [json.dumps(node) for node in nodes], "]").rstrip()
    return f'{json.dumps(head)[:-1]},\n"nodes": {lines},\n{json.dumps(tail)[1:]}\n'


def _in_lines(begin: str, parts: list[str], end: str) -> str:
    return begin + "\n" + ",\n".join(parts) + "\n" + end + "\n"


def _widget(name: str, kind: str) -> Json:
    return {"name": name, "type": kind, "widget": {"name": name}, "link": None}


def _link(name: str, link: int) -> Json:
    return {"name": name, "type": "IMAGE", "link": link}


def _output(name: str, kind: str) -> Json:
    return {"name": name, "type": kind, "links": None}


def _node(
    id: int, kind: str, left: int, size: list[int], inputs: list[Json], outputs: list[Json]
) -> Json:
    placed = {"id": id, "type": kind, "pos": [left, 80], "size": size, "flags": {}}
    placed |= {"order": id - 1, "mode": 0, "inputs": inputs, "outputs": outputs}
    return placed | {"properties": {"Node name for S&R": kind}}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__)
        sys.exit(2)
    if sys.argv[1] == "--draw":
        draw(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1], sys.argv[2]))
