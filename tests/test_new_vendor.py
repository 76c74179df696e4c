"""`dev/new_vendor.py`: a copy of the project gets a vendor more, and knows it everywhere."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = (
    *("upscale_bridge", "upscale_bridge_webui", "nodes", "web", "locales", "scripts", "dev"),
    *("example_workflows", "tests/fakes", "tests/remote", "tests/webui", "tests/vendors"),
)
FILES = (
    *("__init__.py", "pyproject.toml", "README.md", "CONTRIBUTING.md", "tests/conftest.py"),
    *("tests/saved_names.py", "tests/saved_names.json", "tests/test_saved_names.py"),
    *("docs/NODES.md", "docs/SERVICES.md", "docs/MODELS.md", "tests/test_vendors_complete.py"),
)
DRAWN = {"README.md", "docs/NODES.md", "docs/SERVICES.md"}
CHANGED = {"upscale_bridge/vendors/__init__.py", *DRAWN}
NOTED = "tests/saved_names.json"
WIRES = ("tests/remote/test_wires.py", "tests/fakes/test_service.py")  # samples and stand-in

BOTH_HALVES = """
from upscale_bridge.contract.server import Poll, ServedTask, Submit
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import AuthError
from upscale_bridge.vendors import server_for
from upscale_bridge.vendors.acme import AcmeUpscale

wire, server = AcmeUpscale.wire, server_for("AcmeUpscale")
source = Source("data_uri", "data:image/png;base64,iVBORw0K")
asked = server.read(wire.submit(AcmeUpscale(scale="4"), source))
assert asked == Submit(AcmeUpscale(scale="4"), source), asked
task = ServedTask("a/b c", {}, "http://127.0.0.1")
assert wire.read_submit(server.write_submit(task)) == Ticket("a/b c")
assert server.read(wire.poll("a/b c")) == Poll("a/b c")
ended = Done((Output(url="http://127.0.0.1/files/a.png"),))
for status in (Queued(), Running(), ended, Failed("why")):
    assert wire.read_poll(server.write_status(task, status)) == status, status
try:
    wire.read_submit(server.write_error(401, "Who are you?"))
except AuthError as error:
    assert "Who are you?" in str(error) and "ACME_API_KEY" in str(error)
else:
    raise AssertionError("a refusal was taken for a task")
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """What the script and the tests of complete vendors need of the project."""
    root = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns(".*")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    return root


def run(copy, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # What hypothesis knows of all letters takes it 3 s to find out.
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".hypothesis")
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def lines_of(data):
    return len(data.splitlines())


@pytest.fixture(scope="module")
def made(copy):
    """The files before and after the script has run."""
    before = contents(copy)
    done = run(copy, "dev/new_vendor.py", "acme", "Acme")
    assert done.returncode == 0, done.stdout + done.stderr
    return before, contents(copy)


def test_it_changes_one_file_and_what_is_drawn_and_makes_few_lines(made):
    before, after = made
    assert {name for name in before if after.get(name) != before[name]} == CHANGED
    new = {name: data for name, data in after.items() if name not in before}
    text = [data for name, data in new.items() if not name.endswith(".jpg")]
    assert sum(map(lines_of, text)) <= 250
    assert lines_of(new["upscale_bridge/vendors/acme.py"]) <= 120


def test_what_it_makes_is_all_of_the_vendor(made):
    before, after = made
    new = {name for name in after if name not in before}
    assert {name for name in new if "/vendors/acme" not in name} == {
        "web/docs/AcmeUpscale/en.md",
        "example_workflows/Acme Upscale.json",
        "example_workflows/Acme Upscale.jpg",
        "example_workflows/api/Acme Upscale.json",
    }
    places = {name for name in new if "/vendors/acme" in name and "/samples/" not in name}
    assert places == {
        "upscale_bridge/vendors/acme.py",
        "tests/vendors/acme/profile.py",
        "tests/vendors/acme/stand_in.py",
    }


def check_all(copy, *files):
    """Let the tests that know vendors by registry and folders say that nothing is missing."""
    which = "acme or Acme or samples_are or test_saved_names"
    chosen = ("tests/test_vendors_complete.py", *WIRES, *files, "-k", which, "-rA")
    done = run(copy, "-m", "pytest", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "test_vendors_complete.py::test_names_are_plain_and_nobody_elses[acme]",
        "test_vendors_complete.py::test_operation_has_a_command[AcmeUpscale]",
        "fakes/test_service.py::test_recorded_requests_get_answers_of_the_recorded_shape[acme]",
    ):
        assert f"PASSED tests/{name}" in done.stdout


def test_all_hosts_and_batteries_know_the_vendor(copy, made):
    check_all(copy, "tests/remote/test_wires_both.py", "tests/remote/test_faults.py")


def test_both_halves_understand_each_other(copy, made):
    done = run(copy, "-c", BOTH_HALVES)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_contributing_shows_can_be_done_word_by_word(copy, made):
    told = (copy / "CONTRIBUTING.md").read_text("utf-8")
    assert 'dev/new_vendor.py acme "Acme"' in told
    (diff,) = re.findall(r"```diff\n(.*?)```", told, re.DOTALL)
    (copy / "worked.diff").write_text(diff, "utf-8")
    # One line of context is enough for a reader, and for git when it is told so.
    command = ["git", "apply", "--unidiff-zero", "-C1", "--whitespace=nowarn", "worked.diff"]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = run(copy, "dev/new_vendor.py", "--draw", "acme")
    assert done.returncode == 0, done.stderr
    check_all(copy, "tests/test_saved_names.py")
    noted = json.loads((copy / NOTED).read_text("utf-8"))["nodes"]["AcmeUpscale"]
    assert [one["name"] for one in noted["required"]][:3] == ["image", "scale", "prompt"]
    changed = BOTH_HALVES.replace('scale="4"', 'scale="4", prompt="a cat"')
    done = run(copy, "-c", changed + 'assert server.roots == ("/images/",)')
    assert done.returncode == 0, done.stderr


def test_a_name_is_taken_once(copy, made):
    before = contents(copy)
    done = run(copy, "dev/new_vendor.py", "acme", "Acme")
    assert (done.returncode, done.stderr) == (2, "")
    assert "is there already" in done.stdout
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("name", "title", "words"),
    [
        ("Acme", "Acme", "small letters"),
        ("acme_ai", "Acme", "small letters"),
        ("../acme", "Acme", "small letters"),
        ("1acme", "Acme", "small letters"),
        ("", "Acme", "small letters"),
        ("acme", "", "a name of letters"),
        ("acme", 'Ac"me', "a name of letters"),
        ("acme", "acme", "a name of letters"),
        ("photio", "Acme", "there already"),
        ("wavespeed", "Acme", "there already"),
        ("acme", "Photio", "there already"),
    ],
)
def test_names_that_would_not_do_are_refused(name, title, words):
    spec = importlib.util.spec_from_file_location("new_vendor", ROOT / "dev" / "new_vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert words in module.refusal(name, title, title.replace(" ", ""))
