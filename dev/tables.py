"""Draw README's tables from the declarations.

python dev/tables.py --write
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

from upscale_bridge import LocalUpscale  # noqa: E402 (the checkout need not be installed)
from upscale_bridge.local.catalogue import catalogue  # noqa: E402
from upscale_bridge.params import Param  # noqa: E402

NODES = {"LocalESRGANUpscale": LocalUpscale}


def parameters() -> str:
    """Return the table of every node's parameters."""
    lines = ["| node | parameter | values | default | |", "|---|---|---|---|---|"]
    for name, operation in NODES.items():
        for index, item in enumerate(operation.params()):
            title = f"**{operation.title}** (`{name}`)" if index == 0 else ""
            lines.append(
                f"| {title} | `{item.name}` | {_values(item)} | `{item.default}` | {item.help} |"
            )
    return "\n".join(lines)


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


def fill(text: str) -> str:
    """Return README's text with every marked table drawn anew."""
    for name, table in {"parameters": parameters(), "models": models()}.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + table + "\n" + end + rest.split(end)[1]
    return text


def _values(item: Param) -> str:
    if item.choices:
        return ", ".join(item.choices)
    if item.minimum is not None and item.maximum is not None:
        return f"{item.minimum:g} to {item.maximum:g}"
    return {"bool": "true, false", "text": "a name"}.get(item.kind, item.kind)


if __name__ == "__main__":
    filled = fill(README.read_text(encoding="utf-8"))
    if "--write" in sys.argv:
        README.write_text(filled, encoding="utf-8")
    else:
        print(filled)
