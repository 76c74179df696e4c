"""Give a release its version, and say what the workflow that publishes it needs to know.

    python dev/release.py 0.2.0              # sets the version and dates what is unreleased
    python dev/release.py --check v0.2.0     # fails unless the tag is that version, and dated
    python dev/release.py --notes            # what has changed in the version, for the registry
    python dev/release.py --absolute v0.2.0  # README's links, as PyPI's page needs them

The version stands in pyproject.toml, where ComfyUI's Manager reads it, and in `__version__`, which
a clone has without being installed. Nothing else writes either.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
PACKAGE = ROOT / "upscale_bridge" / "__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"
README = ROOT / "README.md"
REPOSITORY = "https://github.com/upscale-bridge/upscale-bridge"

_VERSION = r"\d+\.\d+\.\d+"
_STATED = re.compile(rf'^(__version__|version) = "({_VERSION})"', re.MULTILINE)


def version(path: Path = PROJECT) -> str:
    """Return the version that a file states."""
    found = _STATED.search(path.read_text("utf-8"))
    if found is None:
        raise SystemExit(f"{path.name} states no version.")
    return found[2]


def released(text: str, new: str, day: str) -> str:
    """Return the changelog in which what was unreleased is a version of that day."""
    if f"## [{new}]" in text:
        raise SystemExit(f"CHANGELOG.md has {new} already.")
    before = re.search(rf"^## \[({_VERSION})\]", text, re.MULTILINE)
    since = f"compare/v{before[1]}...v{new}" if before else f"releases/tag/v{new}"
    text = text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{new}] - {day}\n", 1)
    head, _, links = text.partition("\n[Unreleased]: ")
    _, _, older = links.partition("\n")
    return (
        f"{head}\n[Unreleased]: {REPOSITORY}/compare/v{new}...main\n"
        f"[{new}]: {REPOSITORY}/{since}\n{older}"
    )


def notes(text: str, of: str) -> str:
    """Return what the changelog says of a version."""
    found = re.search(
        rf"^## \[{re.escape(of)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |^\[|\Z)",
        text,
        re.DOTALL | re.MULTILINE,
    )
    if found is None:
        raise SystemExit(f"CHANGELOG.md has no {of} with its day; run dev/release.py {of}.")
    return found[1].strip() + "\n"


def absolute(text: str, tag: str) -> str:
    """Return README with links that lead to the repository's files of a tag, wherever it stands."""

    def lead(link: re.Match[str]) -> str:
        kind = "raw" if link[1] else "blob"
        return f"{link[1]}[{link[2]}]({REPOSITORY}/{kind}/{tag}/{link[3]})"

    return re.sub(r"(!?)\[([^]]*)\]\((?!https?://|#)([^)\s]+)\)", lead, text)


def release(new: str) -> None:
    """Set the version everywhere."""
    if not re.fullmatch(_VERSION, new):
        raise SystemExit(f"A version is three numbers, such as 0.2.0; got {new!r}.")
    day = datetime.now(timezone.utc).date().isoformat()
    text = released(CHANGELOG.read_text("utf-8"), new, day)
    for path in (PROJECT, PACKAGE):
        stated = _STATED.sub(rf'\1 = "{new}"', path.read_text("utf-8"), count=1)
        path.write_text(stated, "utf-8")
    CHANGELOG.write_text(text, "utf-8")
    print(f"Look at the changes, commit them, and push the tag v{new}.")


def check(tag: str) -> None:
    """Fail unless all places state the version of a tag."""
    stated = {version(PROJECT), version(PACKAGE)}
    if stated != {tag.removeprefix("v")}:
        raise SystemExit(f"The tag is {tag}, the files state {' and '.join(sorted(stated))}.")
    notes(CHANGELOG.read_text("utf-8"), tag.removeprefix("v"))


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case ["--check", tag]:
            check(tag)
        case ["--notes"]:
            print(notes(CHANGELOG.read_text("utf-8"), version()), end="")
        case ["--absolute", tag]:
            README.write_text(absolute(README.read_text("utf-8"), tag), "utf-8")
        case [new] if not new.startswith("-"):
            release(new)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
