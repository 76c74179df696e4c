"""Wheel and source archive: built, complete, and installed where nothing else of the project is."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from upscale_bridge import __version__

ROOT = Path(__file__).parent.parent
STEM = f"upscale_bridge-{__version__}"
BUILD = """
import sys
from setuptools import build_meta
target, *kinds = sys.argv[1:]  # which setuptools writes over
for kind in kinds:
    getattr(build_meta, f"build_{kind}")(target)
"""


def build(source, target, *kinds):
    """Build as pip does, without a download of what builds."""
    command = [sys.executable, "-B", "-c", BUILD, str(target), *kinds]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with both, built of a copy of what they are made of."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "dist"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "upscale_bridge", source / "upscale_bridge", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copyfile(ROOT / name, source / name)
    (source / "tests").mkdir()
    (source / "tests" / "test_nothing.py").write_text("")
    build(source, target, "sdist", "wheel")
    return target


def contents(path):
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def wheel(built):
    return built / f"{STEM}-py3-none-any.whl"


def test_wheel_holds_the_package_and_nothing_else(wheel):
    package = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "upscale_bridge").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = contents(wheel)
    assert {name: held[name] for name in held if ".dist-info/" not in name} == package


def test_wheel_of_the_source_archive_is_the_same(built, wheel, tmp_path):
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        assert not any("/tests" in name for name in archive.getnames())
        # Python 3.12 warns without the argument, the first 3.10 does not know it.
        known = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **known)
    build(tmp_path / STEM, tmp_path / "dist", "wheel")
    assert contents(tmp_path / "dist" / wheel.name) == contents(wheel)


def test_metadata_is_valid_and_says_what_it_should(wheel):
    raw = contents(wheel)[f"{STEM}.dist-info/METADATA"]
    told = Metadata.from_email(raw, validate=True)
    assert (told.name, str(told.version)) == ("upscale-bridge", __version__)
    assert (told.license_expression, told.license_files) == ("MIT", ["LICENSE"])
    assert told.description_content_type.startswith("text/markdown")
    assert told.description == (ROOT / "README.md").read_text("utf-8")
    assert str(told.requires_python) == ">=3.10"
    assert not [one for one in told.classifiers if one.startswith("Environment ::")]
    assert {"Documentation", "Bug Tracker", "Changelog"} < set(told.project_urls)


def test_wheel_installs_and_works_where_the_clone_is_not(wheel, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    alone = ["--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*pip, *alone, str(wheel)], env=environment, **run)
    assert done.returncode == 0, done.stderr
    environment["PYTHONPATH"] = str(target)
    (command,) = (target / ("Scripts" if os.name == "nt" else "bin")).glob("upscale-bridge*")
    done = subprocess.run([command, "doctor", "--json"], env=environment, **run)
    told = json.loads(done.stdout)
    assert (done.returncode, told["version"]) == (0, __version__), done.stderr
    assert told["facts"]["system"]["program"] == str(target)
    assert told["facts"]["trial"]["enlarged"].startswith("32 x 32 -> 64 x 64")
