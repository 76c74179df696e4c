"""All names that users, workflows and files have saved: nothing of it may ever vanish or change.

`python -m tests.saved_names` prints them, with `--write` it adds new ones to `saved_names.json`.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
FILE = Path(__file__).parent / "saved_names.json"


def draw():
    """Return them; imports ComfyUI's and the WebUI's adapters beside thin stand-ins of these."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UPSCALE_BRIDGE_HOME"] = folder
        found = {
            "nodes": _nodes(folder),
            "commands": _commands(),
            "python": _python(),
            "settings": _settings(),
            "environment": _environment(),
            **_files(),
            "webui": _webui(Path(folder)),
        }
    return json.loads(json.dumps(found))


def _nodes(folder):
    paths = ModuleType("folder_paths")
    paths.get_folder_paths = lambda kind: [folder]
    paths.get_user_directory = lambda: folder
    sys.modules["folder_paths"] = paths
    spec = importlib.util.spec_from_file_location("pack", ROOT / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules["pack"] = pack
    spec.loader.exec_module(pack)
    return {
        name: {
            "title": node.OPERATION.title,
            "outputs": list(zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)),
            **{
                group: [_input(input, *drawn) for input, drawn in inputs.items()]
                for group, inputs in node.INPUT_TYPES().items()
            },
        }
        for name, node in pack.NODE_CLASS_MAPPINGS.items()
    }


def _input(name, kind, options):
    is_list = not isinstance(kind, str)
    kept = {key: value for key, value in options.items() if key in ("default", "min", "max")}
    # Which models there are is told by the user's folders, unless a vendor names them.
    choices = {"choices": kind} if is_list and "UpscaleBridge-x4" not in kind else {}
    return {"name": name, "type": "COMBO" if is_list else kind, **kept, **choices}


def _commands():
    from upscale_bridge import cli

    return _of_parser(cli._parser())


def _of_parser(parser):
    found = {"flags": {}, "arguments": []}
    for action in parser._actions:
        told = {"action": type(action).__name__, "type": getattr(action.type, "__name__", None)}
        if isinstance(action, argparse._SubParsersAction):
            found["commands"] = {name: _of_parser(one) for name, one in action.choices.items()}
        elif action.option_strings:
            told |= {"names": action.option_strings, "default": _plain(action.default)}
            if action.choices:
                told["choices"] = list(action.choices)
            found["flags"][action.option_strings[-1]] = told
        else:
            found["arguments"].append({"name": action.dest, "nargs": action.nargs})
    return found


def _plain(value):
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _python():
    import upscale_bridge

    names = upscale_bridge.__all__
    return {name: type(getattr(upscale_bridge, name)).__name__ for name in names}


def _settings():
    from upscale_bridge.storage.settings import Settings

    return {item.name: _shape(item) for item in Settings.params()}


def _shape(item):
    limits = {"min": item.minimum, "max": item.maximum, "above": item.above}
    return {
        "type": item.kind,
        "default": item.default,
        "choices": list(item.choices or ()),
        **{name: value for name, value in limits.items() if value is not None},
    }


def _environment():
    from upscale_bridge.storage.settings import HOME_VARIABLE
    from upscale_bridge.vendors import VENDORS

    return {
        "home": HOME_VARIABLE,
        "vendors": {
            one.name: {
                "key": one.key_variable,
                "url": one.url_variable,
                "default_url": one.base_url,
                "header": one.auth_header,
                "scheme": one.auth_scheme,
            }
            for one in VENDORS
        },
    }


def _files():
    from upscale_bridge.remote import task
    from upscale_bridge.server import job_table, queue

    return {
        "journal": _table(task.Task, task.MIGRATIONS),
        "queue": _table(queue.Job, job_table.MIGRATIONS),
    }


def _table(row, migrations):
    columns = [
        {
            "name": one.name,
            "type": one.type.replace("JobState", "str").replace("TaskState", "str"),
            "default": None if one.default is MISSING else one.default,
        }
        for one in fields(row)
    ]
    return {"columns": columns, "migrations": [tuple(one) for one in migrations]}


def _webui(folder):
    import torch

    from tests.webui.host import WebUI

    webui = WebUI("forge", folder / "webui")
    webui.devices.device_esrgan = torch.device("cpu")
    sys.modules.update(webui.modules)
    webui.start()
    entries = webui.shared.sd_upscalers
    return {
        "settings": {k: v for k, v in webui.opts.data.items() if k.startswith("upscale_bridge_")},
        "upscalers": {
            one.name: str(one.data_path) for one in entries if one.name.startswith("Bridge: ")
        },
    }


def lost(saved, drawn, where=""):
    """Return what is saved and no longer drawn, as sentences; lists may only grow at their end."""
    if isinstance(saved, dict) and isinstance(drawn, dict):
        gone = [f"{where}/{name} is gone" for name in saved.keys() - drawn.keys()]
        kept = ((f"{where}/{name}", saved[name], drawn[name]) for name in saved if name in drawn)
    elif isinstance(saved, list) and isinstance(drawn, list):
        gone = [f"{where} has lost {one}" for one in saved[len(drawn) :]]
        pairs = zip(saved, drawn, strict=False)
        kept = ((f"{where}/{index}", *pair) for index, pair in enumerate(pairs))
    else:
        return [] if saved == drawn else [f"{where} was {saved!r} and is {drawn!r}"]
    return sorted(gone) + [text for path, a, b in kept for text in lost(a, b, path)]


def lines(value, indent=""):
    """Return JSON of which everything short stands on a line."""
    short = json.dumps(value, ensure_ascii=False)
    if len(indent + short) < 100 or not isinstance(value, dict | list):
        return short
    deeper, is_dict = indent + " ", isinstance(value, dict)
    inner = (
        [f"{json.dumps(k)}: {lines(v, deeper)}" for k, v in value.items()]
        if is_dict
        else [lines(one, deeper) for one in value]
    )
    body = f",\n{deeper}".join(inner)
    return f"{'[{'[is_dict]}\n{deeper}{body}\n{indent}{']}'[is_dict]}"


def read():
    """Return what was saved."""
    return json.loads(FILE.read_text("utf-8"))


def main():
    """Print them, or add the new ones to the file."""
    drawn = draw()
    text = lines(drawn) + "\n"
    if "--write" not in sys.argv:
        sys.stdout.write(text)
        return 0
    gone = lost(read(), drawn) if FILE.exists() else []
    if gone:
        sys.stderr.write("\n".join(gone) + "\n")
        return 1
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
