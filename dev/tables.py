"""Draw the tables of README and docs from the declarations.

python dev/tables.py --write
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/NODES.md", "docs/SERVICES.md", "docs/MODELS.md")
"""Pages with drawn parts, which stand between `<!-- name -->` and `<!-- end of name -->`."""
sys.path.insert(0, str(ROOT))

from upscale_bridge import LocalUpscale  # noqa: E402 (the checkout need not be installed)
from upscale_bridge.contract.operation import RemoteOperation  # noqa: E402
from upscale_bridge.contract.shared import SHARED  # noqa: E402
from upscale_bridge.local.catalogue import ModelSpec, catalogue  # noqa: E402
from upscale_bridge.local.extras import LocalExtras  # noqa: E402
from upscale_bridge.local.operation import LocalUpscaleVideo  # noqa: E402
from upscale_bridge.params import Operation, Param  # noqa: E402
from upscale_bridge.remote.run import ResumeTask  # noqa: E402
from upscale_bridge.storage.settings import Settings  # noqa: E402
from upscale_bridge.vendors import ENTRIES, OPERATIONS, VIDEOS  # noqa: E402
from upscale_bridge_webui.names import PREFIX  # noqa: E402

REMOTE = sorted((*OPERATIONS, *VIDEOS), key=lambda operation: bool(operation.retirement))
"""Those that their vendors have not ended come first."""
ALL_REMOTE = "What all remote nodes have"
NODES: dict[str, type[Operation]] = {
    "LocalESRGANUpscale": LocalUpscale,
    "LocalESRGANUpscaleVideo": LocalUpscaleVideo,
    "LocalUpscaleExtras": LocalExtras,
    **{operation.__name__: operation for operation in REMOTE},
    "ResumeUpscaleTask": ResumeTask,
}
EXAMPLES = {
    LocalUpscale: "1 Upscale an image",
    LocalUpscaleVideo: "2 Upscale a video",
    LocalExtras: "9 Blend two upscalers",
}


def parameters() -> str:
    """Return a section for each node; what remote nodes share stands in one behind them."""
    sections = []
    for name, operation in NODES.items():
        known = {*SHARED, *(_names(LocalUpscale) if operation is LocalUpscaleVideo else ())}
        own = [item for item in operation.params() if item.name not in known]
        sections.append(f"### {operation.title}\n\n{_about(name, operation)}\n\n{_table(own)}")
        if operation is REMOTE[-1]:
            shared = [item for item in OPERATIONS[0].params() if item.name in SHARED]
            sections.append(f"### {ALL_REMOTE}\n\n{_table(shared)}")
    return "\n\n".join(sections)


def _about(name: str, operation: type[Operation]) -> str:
    """Return what stands between a node's title and its parameters, its end first if it has one."""
    retirement = getattr(operation, "retirement", "")
    places = [
        f"`{name}`",
        *_elsewhere(operation),
        f"[example](../example_workflows/{quote(workflow(operation))})",
        f"[help](../web/docs/{name}/en.md)",
    ]
    parts = [f"**{retirement}.**" if retirement else "", " · ".join(places), _shared(operation)]
    return "\n\n".join(filter(None, parts))


def _shared(operation: type[Operation]) -> str:
    """Return where the parameters stand that are not the node's own; empty when all are."""
    if operation is LocalUpscaleVideo:
        (missing,) = _names(LocalUpscale) - _names(operation)
        return f"All of {_link(LocalUpscale.title)} but `{missing}`, and:"
    if operation in VIDEOS:
        return f"Of {_link(ALL_REMOTE.lower())} `attempt`, and:"
    return f"All of {_link(ALL_REMOTE.lower())}, and:" if operation in OPERATIONS else ""


def _link(title: str) -> str:
    return f"[{title}](#{_anchor(title)})"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _names(operation: type[Operation]) -> set[str]:
    return {item.name for item in operation.params()}


def _elsewhere(operation: type[Operation]) -> list[str]:
    """Return a node's names in the WebUI and in the shell."""
    if operation is LocalUpscale:
        return [f"WebUI: `{PREFIX}` and the model", "shell: `local`"]
    if operation is LocalExtras:
        return ["WebUI: panel only", "shell: `extras`"]
    if operation is ResumeTask:
        return ["shell: `tasks resume`"]
    if not issubclass(operation, RemoteOperation):
        return []
    shell = f"shell: `{operation.command}`"
    if operation in VIDEOS:
        return [shell]
    listed = f"`{PREFIX}{operation.title}`" if operation.size_parameter else "panel only"
    return [f"WebUI: {listed}", shell]


def _table(items: list[Param]) -> str:
    rows = (
        f"| `{item.name}` | {_values(item)} | {_default(item)} | {item.help} |" for item in items
    )
    return "\n".join(("| parameter | values | default | |", "|---|---|---|---|", *rows))


def state() -> str:
    """Return the table of what vendors sell: what has ended, and what no end was announced of."""
    lines = ["| node | state |", "|---|---|"]
    for operation in REMOTE:
        ended = f"**{operation.retirement}**" if operation.retirement else "no end announced"
        lines.append(f"| [{operation.title}](docs/NODES.md#{_anchor(operation.title)}) | {ended} |")
    return "\n".join(lines)


def models() -> str:
    """Return the table of known weights that enlarge images."""
    lines = ["| model | scale | architecture | licence | for |", "|---|---|---|---|---|"]
    for spec in catalogue():
        if spec.use == "upscale":
            lines.append(
                f"| `{spec.name}` | {spec.scale} | {spec.architecture} | {_licence(spec)} "
                f"| {spec.about} |"
            )
    return "\n".join(lines)


def faces() -> str:
    """Return the table of known weights that find or restore faces."""
    lines = ["| model | file | MB | licence | for |", "|---|---|---|---|---|"]
    for spec in catalogue():
        if spec.use != "upscale":
            size = "?" if spec.size is None else f"{spec.size / 1e6:.3g}"
            lines.append(
                f"| `{spec.name}` | `{spec.file_name}` | {size} | {_licence(spec)} | {spec.about} |"
            )
    return "\n".join(lines)


def _licence(spec: ModelSpec) -> str:
    return spec.licence if spec.commercial_use else f"{spec.licence} (non-commercial)"


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


def workflow(operation: type[Operation]) -> str:
    """Return the name of an operation's example, which ComfyUI shows as its title.

    What a service has ended is for other hosts that speak its API.
    """
    if operation in EXAMPLES:
        return f"{EXAMPLES[operation]}.json"
    place = "With your own server - " if getattr(operation, "retirement", "") else ""
    return f"{place}{operation.title}.json"


def _duration(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = f"{seconds / size:g}"
            return f"{count} {unit}" if count == "1" else f"{count} {unit}s"
    return f"{seconds:g} seconds"


DRAWN = {
    "state": state,
    "parameters": parameters,
    "services": services,
    "settings": settings,
    "models": models,
    "faces": faces,
}


def fill(text: str) -> str:
    """Return a page's text with all of it that is drawn drawn anew."""
    for name, draw in DRAWN.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if begin in text:
            head, rest = text.split(begin)
            text = head + begin + draw() + "\n" + end + rest.split(end)[1]
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
    for name in PAGES:
        page = ROOT / name
        filled = fill(page.read_text(encoding="utf-8"))
        if "--write" in sys.argv:
            page.write_text(filled, encoding="utf-8")
        else:
            print(filled)
