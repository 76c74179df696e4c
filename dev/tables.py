"""Draw README's tables from the declarations.

python dev/tables.py --write
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

from upscale_bridge import LocalUpscale  # noqa: E402 (the checkout need not be installed)
from upscale_bridge.contract.shared import SHARED  # noqa: E402
from upscale_bridge.local.catalogue import catalogue  # noqa: E402
from upscale_bridge.local.operation import LocalUpscaleVideo  # noqa: E402
from upscale_bridge.params import Operation, Param  # noqa: E402
from upscale_bridge.remote.run import ResumeTask  # noqa: E402
from upscale_bridge.storage.settings import Settings  # noqa: E402
from upscale_bridge.vendors import ENTRIES, OPERATIONS, VIDEOS  # noqa: E402
from upscale_bridge_webui.names import PREFIX  # noqa: E402

NODES: dict[str, type[Operation]] = {
    "LocalESRGANUpscale": LocalUpscale,
    "LocalESRGANUpscaleVideo": LocalUpscaleVideo,
    **{operation.__name__: operation for operation in (*OPERATIONS, *VIDEOS)},
    "ResumeUpscaleTask": ResumeTask,
}


def parameters() -> str:
    """Return the table of every node's parameters; what remote nodes share stands in it once."""
    lines = ["| node | parameter | values | default | |", "|---|---|---|---|---|"]
    for name, operation in NODES.items():
        known = {*SHARED, *(_names(LocalUpscale) if operation is LocalUpscaleVideo else ())}
        own = [item for item in operation.params() if item.name not in known]
        lines += _rows(f"**{operation.title}** (`{name}`){_more(operation)}", own)
        if operation is OPERATIONS[-1]:
            shared = [item for item in operation.params() if item.name in SHARED]
            lines += _rows(f"**all {len(OPERATIONS)} remote nodes above**", shared)
    return "\n".join(lines)


def _names(operation: type[Operation]) -> set[str]:
    return {item.name for item in operation.params()}


def _more(operation: type[Operation]) -> str:
    """Return which parameters a node shares, and its name in the WebUI's lists of upscalers."""
    if operation is LocalUpscaleVideo:
        (missing,) = _names(LocalUpscale) - _names(operation)
        return f"; all of the node above but `{missing}`, and"
    if operation is LocalUpscale:
        return f"; WebUI: `{PREFIX}` and the model"
    if operation in VIDEOS:
        return "; `attempt` of the nodes above, and"
    remote = operation in OPERATIONS
    if remote and not getattr(operation, "size_parameter", ""):
        return "; WebUI: panel only"
    return f"; WebUI: `{PREFIX}{operation.title}`" if remote else ""


def _rows(title: str, items: list[Param]) -> list[str]:
    return [
        f"| {'' if index else title} | `{item.name}` | {_values(item)} | {_default(item)} "
        f"| {item.help} |"
        for index, item in enumerate(items)
    ]


def models() -> str:
    """Return the table of known weights."""
    lines = ["| model | scale | architecture | licence | for |", "|---|---|---|---|---|"]
    for spec in catalogue():
        use = "" if spec.commercial_use else " (non-commercial)"
        lines.append(
            f"| `{spec.name}` | {spec.scale} | {spec.architecture} | {spec.licence}{use} "
            f"| {spec.about} |"
        )
    return "\n".join(lines)


def settings() -> str:
    """Return the table of what settings.json may hold."""
    lines = ["| setting | values | default | |", "|---|---|---|---|"]
    for item in Settings.params():
        lines.append(f"| `{item.name}` | {_values(item)} | {_default(item)} | {item.help} |")
    return "\n".join(lines)


def services() -> str:
    """Return the table of vendors: where their keys and hosts are set, and what our server has."""
    lines = [
        "| service | key from | environment | other host | our server's addresses, results kept |",
        "|---|---|---|---|---|",
    ]
    for entry in ENTRIES:
        vendor = entry.vendor
        page = f"[{urlsplit(vendor.key_page).hostname}]({vendor.key_page})"
        served = (
            f"`{root}` {_duration(server.lifetime)}"
            for server in entry.servers
            for root in server.roots
        )
        lines.append(
            f"| {vendor.title} | {page} | `{vendor.key_variable}` | `{vendor.url_variable}` "
            f"| {', '.join(served) or 'none'} |"
        )
    return "\n".join(lines)


def examples() -> str:
    """Return the links to the workflows of remote operations."""
    links = [
        f"[{operation.title.replace(' Upscale', '', 1)}](example_workflows/{workflow(operation)})"
        for operation in (*OPERATIONS, *VIDEOS)
    ]
    return "One for each service:\n" + ",\n".join(links) + "."


def workflow(operation: type[Operation]) -> str:
    """Return the name of an operation's example."""
    return operation.title.lower().replace(" ", "_") + ".json"


def _duration(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = f"{seconds / size:g}"
            return f"{count} {unit}" if count == "1" else f"{count} {unit}s"
    return f"{seconds:g} seconds"


def fill(text: str) -> str:
    """Return README's text with every marked table drawn anew."""
    tables = {
        "parameters": parameters(),
        "examples": examples(),
        "services": services(),
        "settings": settings(),
        "models": models(),
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + table + "\n" + end + rest.split(end)[1]
    return text


def _values(item: Param) -> str:
    if item.choices:
        return item.listed
    if item.kind in ("int", "float"):
        return item.range.removeprefix("from ")
    return {"bool": "true, false", "text": "text"}.get(item.kind, item.kind)


def _default(item: Param) -> str:
    if item.kind == "bool":
        return f"`{str(item.default).lower()}`"
    return f"`{item.default}`" if item.default != "" else "empty"


if __name__ == "__main__":
    filled = fill(README.read_text(encoding="utf-8"))
    if "--write" in sys.argv:
        README.write_text(filled, encoding="utf-8")
    else:
        print(filled)
