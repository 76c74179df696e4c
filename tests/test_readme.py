"""README, the pages of docs/ and the examples say what the code says."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from urllib.parse import quote

import pytest
import torch

from upscale_bridge import cli, errors

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "example_workflows"
UI = sorted(EXAMPLES.glob("*.json"))
API = sorted((EXAMPLES / "api").glob("*.json"))


def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "dev" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = tables()
NODES = TABLES.NODES


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES.PAGES)
def test_tables_are_drawn_from_the_declarations(name):
    assert TABLES.fill(page(name)) == page(name), "run: python dev/tables.py --write"


def test_every_table_stands_in_one_page():
    text = "".join(map(page, TABLES.PAGES))
    for name in TABLES.DRAWN:
        assert text.count(f"<!-- {name} -->\n") == text.count(f"\n<!-- end of {name} -->\n") == 1


def test_readme_takes_a_minute():
    assert len(page("README.md").split()) <= 1200


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda p: p.name
)
def test_only_ways_of_installing_are_named_that_exist(path):
    """Nothing of our name is on PyPI or in ComfyUI's registry; CONTRIBUTING tells what then."""
    text = path.read_text("utf-8")
    assert not re.search(r"pip install +[\"']?upscale-bridge|comfy node install", text)


def commands():
    """Return each command that a document shows, as a shell reads it."""
    shown = r"^(?:\w+=\S+ |\S*/bin/)*upscale-bridge .*$"
    found = []
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        for line in re.findall(shown, path.read_text("utf-8"), re.MULTILINE):
            words = shlex.split(line, comments=True)
            while not words[0].endswith("upscale-bridge"):
                del words[0]
            found.append(pytest.param(words[1:], id=f"{path.name}: {' '.join(words[1:])}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_commands_that_documents_show_are_understood(words):
    assert cli._parser().parse_args(words).command


def test_python_that_readme_shows_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", page("README.md"), re.DOTALL | re.MULTILINE)
    names = {"images": torch.rand(1, 8, 12, 3)}
    exec(code, names)  # noqa: S102 (our own README)
    assert names["result"].images.shape == (1, 16, 24, 3)


def test_readme_names_the_two_commands():
    commands = re.findall(r"^python3 (dev/\w+\.py)", page("README.md"), re.MULTILINE)
    assert commands == ["dev/demo.py", "dev/check.py"]
    assert all((ROOT / command).is_file() for command in commands)
    assert page(".ci/run").splitlines()[-1] == "exec python3 dev/check.py"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (45, "45 seconds"),
        (600, "10 minutes"),
        (3600, "1 hour"),
        (5400, "1.5 hours"),
        (604800, "7 days"),
    ],
)
def test_times_are_told_in_their_largest_unit(seconds, words):
    assert TABLES._duration(seconds) == words


def test_every_error_for_users_is_explained():
    bases = {"UpscaleError", "EngineError"}
    wire = {"TransportError"}  # always wrapped into a DownloadError so far
    names = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.UpscaleError)
    }
    for name in names - bases - wire:
        assert f"| `{name}` |" in page("docs/ERRORS.md")


def nodes_of(workflow):
    """Return (class id, values in order, whether inputs are connected) of our nodes in it."""
    if "nodes" in workflow:
        for node in workflow["nodes"]:
            if node["type"] in NODES:
                names = [entry["name"] for entry in node["inputs"] if "widget" in entry]
                values = dict(zip(names, node["widgets_values"], strict=True))
                links = {entry["name"] for entry in node["inputs"] if entry.get("link") is not None}
                yield node["type"], values, links
        return
    for node in workflow.values():
        if node["class_type"] in NODES:
            inputs = node["inputs"]
            links = {name for name, value in inputs.items() if isinstance(value, list)}
            values = {name: value for name, value in inputs.items() if name not in links}
            yield node["class_type"], values, links


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_node_has_an_example_a_thumbnail_and_a_help_page():
    shown = {name for path in UI for name, _, _ in nodes_of(read(path))}
    assert shown == set(NODES)
    assert {path.name for path in UI} == {path.name for path in API}
    for path in UI:
        assert path.with_suffix(".jpg").exists()
    for name in NODES:
        assert (ROOT / "web" / "docs" / name / "en.md").exists()


PLACE = re.DOTALL | re.MULTILINE


def test_each_node_is_listed():
    documented = page("docs/NODES.md")
    for name, operation in NODES.items():
        (section,) = re.findall(rf"^### {operation.title}\n.*?^\| param", documented, PLACE)
        assert f"\n`{name}` · " in section


@pytest.mark.parametrize("path", UI + API, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_workflow_holds_every_parameter_in_order(path):
    found = list(nodes_of(read(path)))
    assert found
    for name, values, links in found:
        operation = NODES[name]
        assert list(values) == [item.name for item in operation.params()]
        assert operation(**values)
        pixels = {"video"} if name.endswith("Video") else {"image"}
        assert links == (set() if name == "ResumeUpscaleTask" else pixels)


@pytest.mark.parametrize("path", UI, ids=lambda path: path.name)
def test_both_formats_of_a_workflow_say_the_same(path):
    ui, api = read(path), read(EXAMPLES / "api" / path.name)
    assert list(nodes_of(ui)) == list(nodes_of(api))
    run = [node for node in ui["nodes"] if node["type"] != "MarkdownNote"]
    types = {str(node["id"]): node["type"] for node in run}
    assert types == {key: node["class_type"] for key, node in api.items()}


@pytest.mark.parametrize("path", UI, ids=lambda path: path.name)
def test_workflow_is_an_app_that_asks_for_its_picture_first(path):
    """Of a workflow ComfyUI's app mode shows these widgets and what these nodes save, no more."""
    workflow = read(path)
    app, nodes = workflow["extra"]["linearData"], workflow["nodes"]
    known = [
        [str(node["id"]), one["name"]]
        for node in nodes
        for one in node.get("inputs", ())
        if "widget" in one
    ]
    panels = [[str(node["id"]), "upscale_bridge"] for node in nodes if node["type"] in NODES]
    first, *rest = app["inputs"]
    assert first == known[0]
    assert rest[-len(panels) :] == panels
    assert all(one in known for one in rest[: -len(panels)])
    params = {
        str(node["id"]): NODES[node["type"]].params() for node in nodes if node["type"] in NODES
    }
    folded = [[key, item.name] for key, items in params.items() for item in items if item.advanced]
    assert not [one for one in rest if one in folded], "it shows no more of these than their names"
    assert app["outputs"] == [str(node["id"]) for node in nodes if node["type"].startswith("Save")]


@pytest.mark.parametrize("path", UI, ids=lambda path: path.name)
def test_each_example_is_linked(path):
    assert f"(../example_workflows/{quote(path.name)})" in page("docs/NODES.md")


@pytest.mark.parametrize("path", UI + API, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_workflow_has_only_widgets_that_may_be_shared(path):
    text = path.read_text(encoding="utf-8")
    for model in re.findall(r'"url": "(https://huggingface\.co/Comfy-Org/[^"]+)"', text):
        text = text.replace(model, "")  # where ComfyUI's own dialog finds a missing checkpoint
    assert not re.search(r"https?://|api_key|Bearer|sk-|/home/|/tmp/", text)


@pytest.mark.parametrize("name", NODES)
def test_help_page_names_every_parameter_and_is_short(name):
    text = (ROOT / "web" / "docs" / name / "en.md").read_text(encoding="utf-8")
    for item in NODES[name].params():
        assert f"**{item.name}**" in text
    assert len(text.splitlines()) <= 70
    assert text.startswith(f"# {NODES[name].title}\n")
