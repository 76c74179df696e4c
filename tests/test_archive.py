"""What ComfyUI's registry hands out: the files that git knows, less those of .comfyignore."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pathspec
import pytest
from PIL import Image

from tests.saved_names import read

ROOT = Path(__file__).parent.parent
MODEL = "upscale_bridge/local/weights/UpscaleBridge-x4.safetensors"
LEFT_OUT = (
    *(".ci", ".comfyignore", ".github", "CONTRIBUTING.md", "MANIFEST.in", "install.py"),
    *("benchmarks", "deploy", "dev", "docs", "scripts", "tests", "training"),
    *("upscale_bridge/server", "upscale_bridge_webui"),
)

LOAD = """
import importlib.util, json, sys
from types import ModuleType
folder = sys.argv[1]
paths = sys.modules["folder_paths"] = ModuleType("folder_paths")
paths.get_folder_paths = lambda kind: [folder]
paths.get_user_directory = lambda: folder
name = folder.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py")
pack = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
for node in pack.NODE_CLASS_MAPPINGS.values():
    node.INPUT_TYPES()
print(json.dumps([sorted(pack.NODE_CLASS_MAPPINGS), pack.WEB_DIRECTORY]))
"""


def tracked():
    """Return the files that git knows, as the registry's client asks for them."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    done = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The archive, made as comfy-cli 1.23 does (`zip_files` in its file_utils.py)."""
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    ignored = pathspec.PathSpec.from_lines("gitignore", patterns)
    path = tmp_path_factory.mktemp("registry") / "node.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in tracked():
            if not ignored.match_file(name):
                archive.write(ROOT / name, name)
    return path


@pytest.fixture(scope="module")
def unpacked(packed):
    """The pack as the registry's users have it."""
    folder = packed.parent / "custom_nodes" / "upscale-bridge"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder


def names(packed):
    with zipfile.ZipFile(packed) as archive:
        return archive.namelist()


def test_what_only_other_hosts_and_developers_need_is_left_out(packed):
    for name in names(packed):
        parents = {name, *(parent.as_posix() for parent in Path(name).parents)}
        assert not parents & set(LEFT_OUT), name
        assert not name.startswith("."), name


def test_all_that_comfyui_reads_is_in_it(packed):
    needed = ("nodes/", "web/", "locales/", "example_workflows/", "subgraphs/", "upscale_bridge/")
    single = {"__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "README.md"}
    wanted = {name for name in tracked() if name.startswith(needed) or name in single}
    wanted -= {name for name in wanted if name.startswith("upscale_bridge/server/")}
    assert single < wanted <= set(names(packed))


def test_it_is_small_beside_the_model(packed):
    with zipfile.ZipFile(packed) as archive:
        model = archive.getinfo(MODEL).compress_size
    assert packed.stat().st_size - model < 2_000_000


def test_nothing_in_it_runs_pip_programs_or_texts(unpacked):
    """What the registry's standards forbid, and its check looks for."""
    forbidden = {"eval", "exec", "__import__", "system", "popen"}
    for path in unpacked.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None) or "", *(one.name for one in node.names)]
                assert not {"subprocess", "pip", "ctypes"} & set(modules), path
            if isinstance(node, ast.Call):
                called = node.func
                plain = called.id if isinstance(called, ast.Name) else ""
                of_os = (
                    called.attr
                    if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "os"
                    else ""
                )
                assert not {plain, of_os} & forbidden, f"{path}:{node.lineno}"


def test_the_pack_loads_from_it(unpacked):
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOAD, str(unpacked)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=unpacked.parent,
    )
    assert done.returncode == 0, done.stderr
    nodes, web = json.loads(done.stdout.splitlines()[-1])
    assert nodes == sorted(read()["nodes"])
    assert (unpacked / web / "nodes.js").is_file()


def command(unpacked, *arguments):
    return subprocess.run(
        [sys.executable, "-B", "-m", "upscale_bridge", *arguments],
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_doctor_runs_in_it_and_enlarges(unpacked):
    done = command(unpacked, "doctor", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["problems"]) == (0, []), done.stderr
    assert told["facts"]["system"]["program"].endswith("custom_nodes/upscale-bridge")
    assert told["facts"]["trial"]["enlarged"].startswith("32 x 32 -> 64 x 64")


@pytest.mark.parametrize("arguments", [["serve"], ["server-keys", "list"]])
def test_that_it_has_no_server_is_said(unpacked, arguments):
    done = command(unpacked, *arguments)
    assert done.returncode == 3
    assert done.stderr.startswith("SettingsError: This copy has no server: ")


def test_what_the_registry_is_told_is_as_it_demands():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    # A version that is found elsewhere (`dynamic`) is none to ComfyUI's Manager.
    assert re.search(r'^version = "\d+\.\d+\.\d+"', text, re.MULTILINE)
    assert "dynamic" not in text
    # One GPU's name makes the Manager warn owners of all others; with none it warns nobody.
    assert '"Environment ::' not in text
    assert '"Operating System :: OS Independent"' in text
    assert re.search(r'^requires-comfyui = ">=\d+\.\d+\.\d+"$', text, re.MULTILINE)
    for name in ("Repository", "Documentation", '"Bug Tracker"', "PublisherId", "DisplayName"):
        assert re.search(rf'^{name} = "\S.*"$', text, re.MULTILINE), name
    assert len(re.search(r'^description = "(.*)"$', text, re.MULTILINE)[1]) < 256


@pytest.mark.parametrize(
    ("field", "fits"),
    [
        ("Icon", lambda width, height: width == height <= 400),
        ("Banner", lambda width, height: 9 * width == 21 * height),
    ],
)
def test_pictures_of_the_registry_are_there(field, fits):
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    url = re.search(rf'^{field} = "(.*)"$', text, re.MULTILINE)[1]
    repository = re.search(r'^Repository = "https://github.com/(.*)"$', text, re.MULTILINE)[1]
    root = f"https://raw.githubusercontent.com/{repository}/main/"
    assert url.startswith(root)
    with Image.open(ROOT / url.removeprefix(root)) as picture:
        assert fits(*picture.size)
