"""Every link of every document leads to a file, and to a heading in it where it names one."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "benchmarks", "training", "tests", "web", "dev")
PAGES = [*ROOT.glob("*.md"), *(path for one in FOLDERS for path in (ROOT / one).rglob("*.md"))]
NAMES = sorted(path.relative_to(ROOT).as_posix() for path in PAGES)


def prose(path):
    """Return a page without what stands in code."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace("](", "] ("), text)


def targets(text):
    """Return what the links and pictures of a page name, websites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [unquote(one) for one in found if not re.match(r"https?://|mailto:", one)]


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    made: list[str] = []
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        plain = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        again = sum(1 for one in made if re.fullmatch(rf"{re.escape(plain)}(-\d+)?", one))
        made.append(f"{plain}-{again}" if again else plain)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in targets(prose(page)):
        file, _, anchor = target.partition("#")
        place = page.parent / unquote(file) if file else page
        assert place.exists(), target
        assert place.resolve().is_relative_to(ROOT.resolve()), target
        if anchor:
            assert anchor in anchors(prose(place)), target


def test_every_page_of_docs_is_reached_from_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        files = (unquote(target.partition("#")[0]) for target in targets(prose(page)))
        waiting += [(page.parent / file).resolve() for file in files if file.endswith(".md")]
    assert set((ROOT / "docs").resolve().glob("*.md")) <= reached


def test_anchors_are_those_of_github():
    titles = ("A `b` & C!", "Two: 1-2", "[Link](x.md) here", "A b  c", "Two: 1-2")
    text = "".join(f"## {title}\n" for title in titles)
    assert anchors(text) == ["a-b--c", "two-1-2", "link-here", "a-b--c-1", "two-1-2-1"]
