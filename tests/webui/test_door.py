"""The script that the WebUI runs, and what our root means to other extensions."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.webui.host import DOOR

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "torchvision", "spandrel", "safetensors", "numpy", "requests", "urllib3"}
LOADING = """
import json, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.webui.host import WebUI
webui = WebUI("forge", Path("nowhere"))
before = set(sys.modules)
sys.modules.update(webui.modules)
webui.load_extension()
loaded = sorted({{name.split(".")[0] for name in set(sys.modules) - before}})
callbacks = {{name: len(found) for name, found in webui.callbacks.items()}}
print(json.dumps([loaded, callbacks]))
"""


def python(code, *path, cwd):
    """Run code in a new process, with folders at the head of its path; return what it prints."""
    code = f"import sys; sys.path[:0] = {[str(one) for one in path]!r}\n{code}"
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def postprocessors(module, webui):
    base = webui.modules["modules.scripts_postprocessing"].ScriptPostprocessing
    classes = [thing for thing in vars(module).values() if inspect.isclass(thing)]
    return [one for one in classes if issubclass(one, base)]


def test_script_registers_its_callbacks_and_one_panel(installed):
    module = installed.load_extension()
    assert {name: len(found) for name, found in installed.callbacks.items()} == {
        "before_ui": 2,
        "ui_settings": 1,
        "after_component": 1,
    }
    (panel,) = postprocessors(module, installed)
    assert panel.name == "Upscale Bridge"


def test_script_that_runs_again_keeps_one_class(installed):
    """The host clears its callbacks and runs the script again; our package stays imported."""
    first, second = installed.load_extension(), installed.load_extension()
    assert first is not second
    assert first.Panel is second.Panel
    kinds = installed.upscaler.Upscaler.__subclasses__()
    assert sum(one.__name__ == "BridgeUpscaler" for one in kinds) == 1
    assert [len(found) for found in installed.callbacks.values()] == [2, 1, 1]


def test_script_can_be_run_without_being_a_module(installed):
    """The host does not put it into sys.modules."""
    installed.load_extension()
    assert DOOR.name not in sys.modules
    assert DOOR.stem + ".py" not in sys.modules


@pytest.fixture(scope="module")
def loading(tmp_path_factory):
    """What the script loads in a new process, and its callbacks."""
    text = python(LOADING.format(root=str(ROOT)), cwd=tmp_path_factory.mktemp("webui"))
    return json.loads(text)


def test_script_loads_nothing_heavy(loading):
    loaded, callbacks = loading
    assert HEAVY & set(loaded) == set()
    assert {"upscale_bridge", "upscale_bridge_webui", "PIL"} <= set(loaded)
    assert callbacks == {"before_ui": 2, "ui_settings": 1, "after_component": 1}


def test_script_loads_no_part_of_the_other_adapter(loading):
    assert {"nodes", "comfy", "folder_paths", "server"} & set(loading[0]) == set()


def test_root_has_no_importable_package_but_ours():
    """The WebUI puts our root on the path of all extensions."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == {"upscale_bridge", "upscale_bridge_webui"}
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "install.py"}
    assert not (ROOT / "javascript").exists()
    assert not (ROOT / "preload.py").exists()


@pytest.mark.parametrize("name", ["nodes", "tests", "scripts", "web", "docs", "dev"])
@pytest.mark.parametrize("shape", ["package", "module"])
def test_stranger_with_the_name_of_our_folder_wins(tmp_path, name, shape):
    """Our folders are no packages: any regular one wins, even far behind us on the path."""
    path = tmp_path / name / "__init__.py" if shape == "package" else tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("MINE = 'theirs'\n")
    code = f"import {name}; print({name}.MINE)"
    assert python(code, ROOT, tmp_path, cwd=tmp_path) == "theirs"


def test_scripts_of_all_extensions_are_found_beside_ours(tmp_path):
    """`scripts` spans the folders of all extensions as long as none has an __init__.py."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "their_own.py").write_text("MINE = 'theirs'\n")
    code = "from scripts.their_own import MINE; print(MINE)"
    assert python(code, ROOT, tmp_path, cwd=tmp_path) == "theirs"


def test_adapter_is_not_importable_for_other_tests():
    """The stand-ins end with each test here."""
    assert not [name for name in sys.modules if name.startswith("upscale_bridge_webui")]
    assert not {"modules", "gradio", "modules.shared"} & set(sys.modules)
