"""`dev/release.py`, the changelog that it reads, and the workflows that call it."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from upscale_bridge import __version__

ROOT = Path(__file__).parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture
def release(tmp_path):
    """The script, over copies of the files that it writes."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "dev" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("PROJECT", "PACKAGE", "CHANGELOG", "README"):
        path = getattr(module, name)
        shutil.copyfile(path, tmp_path / path.name)
        setattr(module, name, tmp_path / path.name)
    return module


def test_version_is_the_same_everywhere(release):
    assert release.version(release.PROJECT) == release.version(release.PACKAGE) == __version__


def test_changelog_has_the_form_of_keep_a_changelog():
    lines = CHANGELOG.splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    dated = r"## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d"
    numbers = [re.fullmatch(dated, line)[1] for line in versions[1:]]
    order = [tuple(map(int, number.split("."))) for number in numbers]
    assert order == sorted(set(order), reverse=True)
    for section in re.split(r"^## .*\n", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]
        for part in re.split(r"^### .*\n", section, flags=re.MULTILINE)[1:]:
            text = part.partition("\n[")[0].strip()
            assert text.startswith("- ")
            assert "\n\n" not in text, "one list under each heading"
    links = re.findall(r"^\[(.*)\]: https://", CHANGELOG, re.MULTILINE)
    assert links == ["Unreleased", *numbers]


def test_a_release_sets_the_version_and_dates_what_was_unreleased(release):
    before = re.search(r"## \[Unreleased\]\n(.*?)^\[", CHANGELOG, re.DOTALL | re.MULTILINE)[1]
    release.main(["7.0.0"])
    assert release.version(release.PROJECT) == release.version(release.PACKAGE) == "7.0.0"
    assert '\nversion = "7.0.0"  # ' in release.PROJECT.read_text("utf-8")
    assert '\n__version__ = "7.0.0"\n' in release.PACKAGE.read_text("utf-8")
    text = release.CHANGELOG.read_text("utf-8")
    assert re.search(r"^## \[Unreleased\]\n\n## \[7\.0\.0\] - \d{4}-\d\d-\d\d\n", text, re.M)
    first = before.split("\n## ")[0].strip()
    assert release.notes(text, "7.0.0").strip() == first
    assert f"\n[Unreleased]: {release.REPOSITORY}/compare/v7.0.0...main\n[7.0.0]: " in text
    release.main(["--check", "v7.0.0"])


def test_a_second_release_is_compared_with_the_first(release):
    release.main(["7.0.0"])
    release.main(["7.1.0"])
    text = release.CHANGELOG.read_text("utf-8")
    assert f"\n[7.1.0]: {release.REPOSITORY}/compare/v7.0.0...v7.1.0\n[7.0.0]: " in text
    assert release.notes(text, "7.1.0") == "\n"
    with pytest.raises(SystemExit, match=r"has 7\.1\.0 already"):
        release.main(["7.1.0"])


def test_a_tag_that_is_not_the_version_is_refused(release):
    release.main(["7.0.0"])
    with pytest.raises(SystemExit, match=r"The tag is v7\.0\.1, the files state 7\.0\.0"):
        release.main(["--check", "v7.0.1"])


def test_a_version_without_its_day_is_refused(release):
    with pytest.raises(SystemExit, match="has no 99"):
        release.notes(CHANGELOG, "99.0.0")


@pytest.mark.parametrize("new", ["7", "7.0", "v7.0.0", "7.0.0rc1", "seven", ""])
def test_what_is_no_version_is_refused(release, new):
    with pytest.raises(SystemExit, match="three numbers"):
        release.main([new])


def test_links_of_readme_lead_somewhere_from_everywhere(release):
    release.main(["--absolute", "v7.0.0"])
    text = release.README.read_text("utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)
    assert f"]({release.REPOSITORY}/raw/v7.0.0/docs/pictures/" in text
    assert f"]({release.REPOSITORY}/blob/v7.0.0/docs/NODES.md)" in text
    assert re.sub(rf"{re.escape(release.REPOSITORY)}/(raw|blob)/v7\.0\.0/", "", text) == (
        (ROOT / "README.md").read_text("utf-8")
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_files_that_are_there_and_may_do_little(path):
    text = path.read_text("utf-8")
    for name in re.findall(r"python (\S+\.py)", text) + re.findall(r"uses: (\./\S+)", text):
        assert (ROOT / name).is_file(), name
    assert "\npermissions:\n  contents: read\n" in text
    assert set(re.findall(r"^ +([a-z-]+): write", text, re.MULTILINE)) <= {"id-token"}
    assert not re.search(r"run: .*\$\{\{", text), "a value becomes part of a script"
