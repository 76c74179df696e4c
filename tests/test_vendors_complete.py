"""Every vendor of the registry has all that users of any host look for.

`tests/test_new_vendor.py` runs this with a vendor more.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.webui.conftest import installed, loaded, webui
from upscale_bridge.cli import main
from upscale_bridge.contract.server import ServerWire, TaskServerWire
from upscale_bridge.contract.shared import SHARED
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.storage.settings import Settings
from upscale_bridge.vendors import ENTRIES, OPERATIONS, SERVERS, VENDORS, server_at, server_for

__all__ = ["installed", "loaded", "webui"]  # fixtures

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "example_workflows"
README = (ROOT / "README.md").read_text("utf-8")
NODES, SERVICES = (
    (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("NODES", "SERVICES")
)

each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
each_operation = pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.roots[0])


def script(name):
    """Return a module of dev/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "dev" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn():
    """The pack as ComfyUI loads it, and the English texts of its nodes."""
    locales, before = script("locales"), set(sys.modules)
    texts = locales.files()["nodeDefs"]
    yield sys.modules["drawn_pack"], texts
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "drawn_pack":
            del sys.modules[name]


def example_of(kind):
    return script("tables").workflow(kind)


def help_of(*command):
    """Return what the shell says of a command."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0


# --- vendors


@each_vendor
def test_names_are_plain_and_nobody_elses(vendor):
    """They are part of variables, settings and flags, which other characters would break."""
    assert re.fullmatch(r"[a-z][a-z0-9]*", vendor.name)
    assert vendor.title.strip() == vendor.title != ""
    for attribute in ("name", "title", "key_variable", "url_variable"):
        values = [getattr(other, attribute) for other in VENDORS]
        assert values.count(getattr(vendor, attribute)) == 1


@each_vendor
def test_keys_and_addresses_can_be_set(vendor, capsys):
    assert f"{vendor.name}_base_url" in {item.name for item in Settings.params()}
    assert vendor.key_variable == f"{vendor.name.upper()}_API_KEY"
    assert vendor.url_variable == f"{vendor.name.upper()}_BASE_URL"
    assert main(["keys", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["variable"] for row in rows if row["name"] == vendor.name] == [vendor.key_variable]
    assert vendor.base_url.startswith("https://")
    assert vendor.key_page.startswith("https://")


@each_vendor
def test_documents_name_its_key_address_and_setting(vendor):
    assert f"| {vendor.title} | [" in SERVICES
    assert f"| `{vendor.key_variable}` | `{vendor.url_variable}` |" in SERVICES
    assert f"| `{vendor.name}_base_url` |" in SERVICES


def test_an_entry_holds_what_is_its_vendors():
    for entry in ENTRIES:
        assert entry.operations
        assert {kind.vendor for kind in entry.operations} == {entry.vendor}
        served = {kind for server in entry.servers for kind in server.operations}
        assert served <= {*entry.operations, *entry.own}


# --- operations


@each_operation
def test_operation_has_a_node_with_english_texts(kind, drawn):
    pack, texts = drawn
    node = pack.NODE_CLASS_MAPPINGS[kind.__name__]
    assert node.OPERATION.__name__ == kind.__name__
    assert pack.NODE_DISPLAY_NAME_MAPPINGS[kind.__name__] == kind.title
    told = texts[kind.__name__]
    assert told["display_name"] == kind.title
    assert told["description"] == kind.__doc__
    first, later = (
        [item.name for item in kind.params() if item.later is late] for late in (False, True)
    )
    assert list(told["inputs"]) == ["image", *first, "mask", *later]
    assert all(text["tooltip"].strip() for text in told["inputs"].values())


@each_operation
def test_operation_has_a_help_page(kind):
    text = (ROOT / "web" / "docs" / kind.__name__ / "en.md").read_text("utf-8")
    assert text.startswith(f"# {kind.title}\n")
    for word in (kind.vendor.key_variable, kind.vendor.url_variable, kind.vendor.key_page):
        assert word in text
    assert not [item.name for item in kind.params() if f"**{item.name}**" not in text]


@each_operation
def test_operation_has_a_workflow_in_both_formats_with_a_picture(kind):
    name = example_of(kind)
    ui = json.loads((EXAMPLES / name).read_text("utf-8"))
    (node,) = [node for node in ui["nodes"] if node["type"] == kind.__name__]
    (call,) = [
        node["inputs"]
        for node in json.loads((EXAMPLES / "api" / name).read_text("utf-8")).values()
        if node["class_type"] == kind.__name__
    ]
    names = [item.name for item in kind.params()]
    assert [one["name"] for one in node["inputs"] if "widget" in one] == names
    assert node["widgets_values"] == [call[name] for name in names]
    assert kind(**{name: call[name] for name in names})
    assert (EXAMPLES / name).with_suffix(".jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert f"](../example_workflows/{quote(name)})" in NODES


@each_operation
def test_operation_has_its_state_in_readme_and_its_rows_in_the_documents(kind):
    state = f"**{kind.retirement}**" if kind.retirement else "no end announced"
    place = kind.title.lower().replace(" ", "-")
    assert f"\n| [{kind.title}](docs/NODES.md#{place}) | {state} |\n" in README
    where = f"`Bridge: {kind.title}`" if kind.size_parameter else "panel only"
    (section,) = re.findall(f"^### {kind.title}\n(.*?)(?=^### )", NODES, re.DOTALL | re.MULTILINE)
    end, _, rows = section.partition(f"`{kind.__name__}` · WebUI: {where} · ")
    assert end.strip() == (f"**{kind.retirement}.**" if kind.retirement else "")
    shared = NODES.partition("### What all remote nodes have\n")[2]
    for item in kind.params():
        assert f"\n| `{item.name}` | " in (shared if item.name in SHARED else rows)


@each_operation
def test_operation_has_a_command(kind, capsys):
    assert [other.command for other in OPERATIONS].count(kind.command) == 1
    help_of(kind.command)
    assert kind.__doc__.split()[0] in capsys.readouterr().out


@each_operation
def test_tasks_can_be_resumed_by_the_operations_name(kind):
    choices = next(item.choices for item in ResumeTask.params() if item.name == "made_by")
    assert (kind.__name__ in choices) is kind.has_tasks()


@each_operation
def test_the_size_of_a_result_can_be_asked_for(kind):
    names = {item.name for item in kind.params()}
    assert kind.size_parameter in names or {"model", "options"} <= names


def test_webui_lists_every_operation(webui):
    panel = sys.modules["upscale_bridge_webui.panel"]
    assert list(panel.KINDS)[2:] == [kind.title for kind in OPERATIONS]
    names = {one.name for one in webui.shared.sd_upscalers}
    entries = {f"Bridge: {kind.title}" for kind in OPERATIONS if kind.size_parameter}
    assert names & {f"Bridge: {kind.title}" for kind in OPERATIONS} == entries


# --- our own server


@each_server
def test_server_says_how_it_refuses_and_how_long_it_keeps(server):
    assert server.lifetime > 0
    for status in (400, 401, 404, 429, 503):
        reply = server.write_error(status, "What is wrong.")
        assert "What is wrong." in reply.body.decode()
        assert reply.headers["content-type"] == "application/json"
        assert reply.status == status or reply.status in (200, 403)  # some formats have their own


@each_server
def test_server_takes_its_operations_at_addresses_of_its_own(server):
    assert isinstance(server, ServerWire)
    for kind in server.operations:
        assert server_for(kind.__name__) is server
        assert isinstance(server, TaskServerWire) is kind.has_tasks()
    for root in server.roots:
        assert root.startswith("/")
        assert server_at(root) is server_at(f"{root.rstrip('/')}/upscale") is server
        assert server_at(f"{root.rstrip('/')}s") is not server
        assert [other for one in SERVERS for other in one.roots].count(root) == 1
    assert all(f"`{root}` " in SERVICES for root in server.roots)
