"""The command `upscale-bridge models`, all flags, and the version."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from upscale_bridge import __version__
from upscale_bridge.errors import DownloadError
from upscale_bridge.local import library

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "UpscaleBridge-x4"
SHIPPED = library.SHIPPED_FOLDER / f"{MODEL}.safetensors"


@pytest.fixture
def models(tmp_path):
    """A model folder with a copy of the shipped model under another name."""
    target = tmp_path / "models" / "mine" / "copy.safetensors"
    target.parent.mkdir(parents=True)
    shutil.copy(SHIPPED, target)
    return tmp_path / "models"


@pytest.mark.parametrize("verb", [[], ["list"]])
def test_list_shows_shipped_and_downloadable_models(run, verb):
    status, out, _ = run("models", *verb)
    assert status == 0
    assert out.splitlines()[0].split() == ["shipped", MODEL]
    assert re.search(r"^download  RealESRGAN_x4plus  .*\(BSD-3-Clause\)$", out, re.MULTILINE)


@pytest.mark.parametrize("order", ["--json list", "list --json", "--json"])
def test_list_as_json_has_all_fields(run, order):
    status, out, _ = run("models", *order.split())
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert rows[MODEL] == {
        "name": MODEL,
        "origin": "shipped",
        "path": str(SHIPPED),
        "licence": None,
        "scale": None,
        "url": None,
    }
    known = rows["RealESRGAN_x4plus"]
    assert (known["origin"], known["path"]) == ("download", None)
    assert (known["licence"], known["scale"]) == ("BSD-3-Clause", 4)
    assert known["url"].startswith("https://")


@pytest.mark.parametrize("before", [True, False])
def test_models_dir_adds_a_folder(run, models, before):
    flag = ["--models-dir", models]
    _, out, _ = run("models", *(flag if before else []), "list", *([] if before else flag))
    assert "found     mine/copy" in out.splitlines()


def test_models_dir_works_for_local(run, models, tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    target = tmp_path / "big.png"
    arguments = ["--models-dir", models, "--model", "copy", "--json"]
    status, out, _ = run("local", tmp_path / "a.png", "-o", target, *arguments)
    assert status == 0
    assert json.loads(out)["model"] == "copy"
    assert target.is_file()


def test_info_describes_a_model_named_by_its_path(run):
    status, out, _ = run("models", "info", SHIPPED, "--json")
    fields = json.loads(out)
    assert status == 0
    assert (fields["name"], fields["path"]) == (MODEL, str(SHIPPED))
    assert (fields["architecture"], fields["scale"], fields["channels"]) == (
        "RealESRGAN Compact",
        4,
        3,
    )
    assert fields["halo"] > 0
    assert fields["bytes"] == SHIPPED.stat().st_size
    assert re.fullmatch("[0-9a-f]{64}", fields["sha256"])
    assert {type(fields["fp16"]), type(fields["bf16"])} == {bool}


def test_info_of_a_model_named_by_its_name_is_a_table(run):
    status, out, _ = run("models", "info", MODEL)
    assert status == 0
    assert re.search(r"^scale +4$", out, re.MULTILINE)


@pytest.mark.parametrize("version", ["1.5", None])
def test_info_tells_the_version_of_a_file(run, models, version):
    path = models / "mine" / "copy.safetensors"
    save_file(load_file(path), path, {"version": version} if version else None)
    _, out, _ = run("models", "info", path)
    assert re.findall("^version +(.*)$", out, re.MULTILINE) == [version] * bool(version)
    _, out, _ = run("models", "info", path, "--json")
    assert json.loads(out)["version"] == version


def test_info_of_nothing_is_explained(run):
    status, out, err = run("models", "info", "nowhere")
    assert (status, out) == (2, "")
    assert "There is no file or model 'nowhere'" in err


def test_info_of_a_file_that_is_no_model_is_explained(run, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"junk")
    status, _, err = run("models", "info", tmp_path / "x.pth")
    assert status == 5
    assert "UnsupportedModelError: x.pth is damaged" in err


@pytest.mark.parametrize("name", [MODEL, "mine/copy"])
def test_download_of_a_present_model_names_its_file(run, models, monkeypatch, name):
    def refuse(*_arguments, **_options):
        raise AssertionError("a present model is downloaded again")

    monkeypatch.setattr(library, "download", refuse)
    status, out, _ = run("models", "download", name, "--json", "--models-dir", models)
    path = SHIPPED if name == MODEL else models / "mine" / "copy.safetensors"
    assert status == 0
    assert json.loads(out) == {"name": path.stem, "path": str(path)}


def test_download_shows_the_terms_and_goes_into_the_first_folder(run, tmp_path, monkeypatch):
    def download(url, target, monitor, *, size, sha256):
        assert url.startswith("https://")
        assert size == 67040989
        assert re.fullmatch("[0-9a-f]{64}", sha256)
        target.write_bytes(b"weights")

    monkeypatch.setattr(library, "download", download)
    folders = ["--models-dir", tmp_path / "first", "--models-dir", tmp_path / "second"]
    status, _, err = run("models", "download", "RealESRNet_x4plus", *folders)
    assert status == 0
    assert "licence BSD-3-Clause" in err
    assert [path.name for path in tmp_path.glob("first/*")] == ["RealESRNet_x4plus.pth"]


def test_download_of_an_unknown_model_is_explained(run):
    status, out, _ = run("models", "download", "nowhere", "--json")
    assert status == 5
    assert json.loads(out)["error"] == "ModelNotFoundError"


def test_command_without_a_verb_is_explained(run):
    status, _, err = run()
    assert status == 2
    assert "COMMAND" in err


def test_version_of_the_module_run_by_python():
    command = [sys.executable, "-m", "upscale_bridge", "--version"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == __version__


def test_licence_is_shown_before_a_download(run, monkeypatch):
    def refuse(url, target, monitor, **_):
        raise DownloadError("no network here")

    monkeypatch.setattr(library, "download", refuse)
    status, _, shown = run("local", "in", "-o", "out", "--model", "4x-UltraSharp", "--download")
    assert status == DownloadError.exit_code
    assert "CC-BY-NC-SA-4.0, non-commercial use only" in shown
    assert shown.index("non-commercial") < shown.index("no network here")
