"""Who may import whom; docs/ARCHITECTURE.md says why."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from upscale_bridge.vendors import ALL, VENDORS

ROOT = Path(__file__).parent.parent
CORE = ROOT / "upscale_bridge"
WEBUI = ROOT / "upscale_bridge_webui"
OWNERS = {  # who may import a third-party package
    "requests": {"network.sessions", "network.transport"},
    "urllib3": {"network.sessions", "network.transport"},
    "spandrel": {"local.loader"},
    "spandrel_extra_arches": {"local.loader"},
    "PIL": {"images.codecs", "images.pillow_reader", "images.png16", "images.tiff"},
    "numpy": {"images", "local"},
    "torch": {"images", "remote.encoding", "local"},
    "triton": {"local.convolution_kernel"},
    "cv2": {"local.faces.opencv"},
    "sqlite3": {"storage.database", "storage.process_locks", "storage.salvage"},
    "starlette": {"server.http", "server.bodies", "server.endpoint"},
    "uvicorn": {"server.http", "server.protocol"},
    "prometheus_client": {"server.metrics"},
    "sqlalchemy": {"server.cluster.database"},
    "celery": {"server.cluster.turns"},
    "kombu": {"server.cluster.turns"},
    "fsspec": {"server.cluster.places"},
}
CORE_OF_CORE = "texts errors params monitor result images contract vendors storage network"
MAY_IMPORT = {  # packages and modules of the core, from the inside to the outside
    "texts": "",
    "errors": "texts",
    "params": "errors",
    "monitor": "",
    "result": "",
    "images": "errors texts",
    "contract": "errors params texts images",
    "vendors": "errors params texts images contract",
    "storage": "errors params vendors",
    "network": "errors monitor texts contract storage",
    "local": "errors params monitor result texts images contract storage network",
    "remote": CORE_OF_CORE,
    "equivalent": "errors monitor result images contract local",
    "service": f"{CORE_OF_CORE} local remote equivalent",
    "preflight": "errors params texts images contract local remote equivalent service",
    "targets": "errors images",
    "batch": "errors params monitor images contract local service targets",
    "file_plans": "monitor images contract remote service batch",
    "server": f"{CORE_OF_CORE} local remote equivalent service",
    "cli": f"{CORE_OF_CORE} local remote service targets batch file_plans server",
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules that a file imports at run time; relative ones start with a dot."""
    tree = parsed(path)
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [alias.name for alias in node.names] if not node.module else [""]
            found |= {base + name for name in names}
    return frozenset(found)


@cache
def core_modules() -> list[tuple[str, Path]]:
    return [
        (".".join(path.relative_to(CORE).with_suffix("").parts), path)
        for path in sorted(CORE.rglob("*.py"))
    ]


def test_core_imports_itself_only_relatively():
    for name, path in core_modules():
        absolute = {module for module in imports(path) if module.startswith("upscale_bridge")}
        assert not absolute, f"{name} is imported under two names; use relative imports"


def test_each_dependency_has_one_owner():
    for name, path in core_modules():
        for module in imports(path):
            owners = OWNERS.get(module.split(".")[0])
            if owners is not None:
                assert name in owners or name.split(".")[0] in owners, f"{name} imports {module}"


def test_core_knows_no_host():
    hosts = {"comfy", "folder_paths", "server", "nodes", "modules", "gradio", "comfy_execution"}
    for name, path in core_modules():
        assert not {module.split(".")[0] for module in imports(path)} & hosts, name


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_each_package_imports_only_what_is_further_inside(package):
    allowed = {package, *MAY_IMPORT[package].split()}
    for name, path in core_modules():
        if name.split(".")[0] == package:
            base = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            assert {top(base, module) for module in imports(path)} - {
                "",
                "__version__",
            } <= allowed, name


def test_every_module_has_a_place():
    assert {name.split(".")[0] for name, _ in core_modules()} - {"__init__", "__main__"} == set(
        MAY_IMPORT
    )


def test_order_has_no_circle():
    order = list(MAY_IMPORT)
    for package, others in MAY_IMPORT.items():
        assert all(order.index(other) < order.index(package) for other in others.split()), package


def test_server_names_no_vendor():
    names = {vendor.name for vendor in VENDORS} | {kind.__name__ for kind in ALL}
    for name, path in core_modules():
        if name.startswith("server."):
            text = path.read_text(encoding="utf-8").lower()
            assert not [one for one in names if one.lower() in text], name


def top(package: list[str], module: str) -> str:
    """Return the outermost part of what a module of a package imports; empty for foreign ones."""
    level = len(module) - len(module.lstrip("."))
    if not level:
        return ""
    return ".".join([*package[: len(package) - level + 1], module.lstrip(".")]).split(".")[0]


def test_vendors_and_their_contract_do_no_io():
    for name, path in core_modules():
        if name.split(".")[0] in ("contract", "vendors"):
            assert not imports(path) & {"requests", "socket", "time", "os", "threading"}, name


def test_only_settings_reads_the_environment():
    readers = [name for name, path in core_modules() if "os.environ" in path.read_text("utf-8")]
    assert readers == ["storage.settings"]


def test_two_node_modules_read_videos():
    readers = {path.name for path in (ROOT / "nodes").glob("*.py") if "av" in imports(path)}
    assert readers == {"video_io.py", "video_rewrite.py"}


def test_nodes_reach_the_core_only_relatively():
    for path in (ROOT / "nodes").glob("*.py"):
        assert not {m for m in imports(path) if m.startswith("upscale_bridge")}, path.name


def test_webui_adapter_imports_the_core_and_its_host_only():
    allowed = {"upscale_bridge", "modules", "gradio", "PIL", "numpy", "torch"}
    for path in WEBUI.glob("*.py"):
        foreign = {m.split(".")[0] for m in imports(path) if not m.startswith(".")}
        assert foreign - set(sys.stdlib_module_names) <= allowed, path.name
        above = {m for m in imports(path) if m.startswith("..")}
        assert not above, f"{path.name}: the WebUI has no package above it"


def test_webui_adapter_loads_numpy_and_torch_when_first_needed():
    """The WebUI waits for its extensions at every start."""
    for path in WEBUI.glob("*.py"):
        names = [
            name
            for node in parsed(path).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        ]
        assert not {"torch", "numpy"} & {name.split(".")[0] for name in names}, path.name


def test_core_and_nodes_do_not_know_the_webui_adapter():
    for path in [*CORE.rglob("*.py"), *(ROOT / "nodes").glob("*.py"), ROOT / "__init__.py"]:
        assert not {m for m in imports(path) if "upscale_bridge_webui" in m}, path.name


@pytest.mark.parametrize("path", [*(ROOT / "scripts").glob("*.py")], ids=lambda path: path.stem)
def test_scripts_of_the_webui_are_thin(path):
    """The WebUI registers every panel class that it finds in them, imported bases included."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    tree = ast.parse(text)
    assert not [
        node for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("modules")
            assert "ScriptPostprocessing" not in {alias.name for alias in node.names}


def test_no_module_does_work_at_import():
    """Module level holds definitions, constants and guards only."""
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
        ast.If,
    )
    adapter = [(f"webui {path.stem}", path) for path in WEBUI.glob("*.py")]
    for name, path in core_modules() + adapter:
        for node in parsed(path).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert docstring or isinstance(node, allowed), f"{name}:{node.lineno}"
