"""`serve` as far as it gets without listening, and `server-keys`."""

import json
import shutil
import sys

import pytest

from upscale_bridge.cli import cluster, main
from upscale_bridge.errors import DownloadError
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.server.api_clients import ApiClients
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import ENTRIES


def test_key_is_shown_once_and_stored_as_a_hash(run):
    status, out, err = run("server-keys", "add", "anna")
    key = out.strip()
    assert status == 0
    assert key.startswith("ub-")
    assert "only its hash is stored" in err
    assert key not in (home() / "server-keys.json").read_text("utf-8")
    assert ApiClients(home() / "server-keys.json").who(key).name == "anna"
    assert run("server-keys", "list")[1] == "anna\n"
    assert json.loads(run("server-keys", "--json")[1]) == ["anna"]


def test_name_has_one_key(run):
    run("server-keys", "add", "anna")
    status, _, err = run("server-keys", "add", "anna")
    assert status == 2
    assert "remove it first" in err


def test_removed_key_is_worthless(run):
    key = run("server-keys", "add", "anna")[1].strip()
    run("server-keys", "add", "bert")
    assert run("server-keys", "remove", "anna")[0] == 0
    assert ApiClients(home() / "server-keys.json").who(key) is None
    assert run("server-keys", "remove", "anna")[0] == 2


def test_keys_file_may_lie_elsewhere(run, tmp_path):
    path = tmp_path / "keys.json"
    run("server-keys", "add", "anna", "--keys", path)
    assert run("server-keys", "list", "--keys", path)[1] == "anna\n"
    assert run("server-keys")[1] == "No keys.\n"


def test_other_addresses_need_keys(run):
    status, _, err = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert status == 3
    assert "server-keys add NAME" in err


def test_help_names_every_vendor_whose_api_is_spoken(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    titles = [entry.vendor.title for entry in ENTRIES if entry.servers]
    assert f"clients written for {', '.join(titles[:-1])} and {titles[-1]}." in told


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "prometheus_client"])
def test_missing_package_names_the_extra(run, monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    for module in ("http", "protocol", "endpoint", "bodies", "metrics"):
        monkeypatch.delitem(sys.modules, f"upscale_bridge.server.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    status, _, err = run("serve", "--port", "0")
    assert status == 3
    assert "pip install starlette uvicorn prometheus_client" in err


VENDORS = (
    *("RealESRGAN_x4plus_anime_6B", "RealESRNet_x4plus", "4x-UltraSharp", "RealESRGAN_x4plus"),
    *("RealESRGAN_x2plus", "realesr-general-x4v3", "realesr-general-wdn-x4v3"),
    *("realesr-animevideov3", "ESRGAN_4x"),
)


@pytest.fixture
def served(monkeypatch):
    """With which options a server would have been run, where faces cannot be found."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    http = pytest.importorskip("upscale_bridge.server.http")
    found = []
    monkeypatch.setattr(http, "serve", found.append)
    return found


def put(*names):
    folder = home() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors", folder / f"{name}.safetensors")


def test_missing_models_of_the_vendors_are_told_with_the_ways(run, served):
    put("4x-UltraSharp")
    status, _, err = run("serve")
    assert (status, len(served), served[0].substitute) == (0, 1, False)
    lines = err.splitlines()
    told = [line.strip().partition(":")[0] for line in lines[1:-2]]
    assert told == [name for name in VENDORS if name != "4x-UltraSharp"]
    assert "licence BSD-3-Clause; 67 MB; from https://" in err
    assert lines[-2] == (
        "Requests for them are refused; `upscale-bridge models download NAME` fetches one, `serve "
        "--download` fetches all, with `serve --substitute` UpscaleBridge-x4 stands in."
    )
    assert lines[-1].startswith("Listening")


def test_ways_that_were_chosen_are_not_told(run, served):
    _, _, err = run("serve", "--substitute")
    assert served[0].substitute
    assert "UpscaleBridge-x4 stands in for them; `upscale-bridge models download" in err
    assert "--substitute" not in err


def test_nothing_is_told_when_all_is_there(run, served):
    put(*VENDORS)
    assert run("serve")[2].startswith("Listening")
    assert run("serve", "--download")[2].startswith("Listening")


def test_models_for_faces_are_told_where_they_could_be_used(run, served, monkeypatch):
    monkeypatch.delitem(sys.modules, "cv2")
    put(*VENDORS)
    lines = run("serve")[2].splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:-2]] == ["YuNet", "GFPGANv1.4"]


def test_missing_models_are_fetched_before_the_server_listens(run, served, monkeypatch):
    fetched = []

    def download(url, target, monitor, *, size, sha256):
        assert served == []
        if "x2plus" in url:
            raise DownloadError("No connection.")
        fetched.append(target.stem)
        target.write_bytes(b"")

    monkeypatch.setattr("upscale_bridge.local.library.download", download)
    put("ESRGAN_4x", "4x-UltraSharp")
    status, _, err = run("serve", "--download")
    wanted = [name for name in VENDORS if name not in ("ESRGAN_4x", "4x-UltraSharp")]
    assert status == 0
    assert fetched == [name for name in wanted if name != "RealESRGAN_x2plus"]
    assert all(f"{name}: licence" in err for name in wanted)
    assert "RealESRGAN_x2plus: No connection." in err
    assert "--download" not in err
    assert err.index("No connection") < err.index("Requests for them") < err.index("Listening")


def test_nothing_is_fetched_for_a_server_that_may_not_listen(run, monkeypatch):
    monkeypatch.setattr("upscale_bridge.local.library.download", lambda *_, **__: 1 / 0)
    assert run("serve", "--host", "0.0.0.0", "--download")[0] == 3


# --- clusters

PARTS = ("--broker", "redis://h", "--store", "postgresql://a:secret@h/b", "--files", "s3://b")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("serve", *PARTS[:2]), "also needs --store and --files"),
        (("worker", *PARTS[:4]), "also needs --files"),
        (("worker",), "needs --broker, --store and --files"),
        (("serve", *PARTS, "--device", "cpu"), "`upscale-bridge worker --device ...`"),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one[::2]),
)
def test_cluster_is_named_whole(run, arguments, told):
    status, _, err = run(*arguments)
    assert (status, told in err) == (2, True), err
    assert "secret" not in err


def test_parts_of_a_cluster_may_stand_in_the_environment(run, monkeypatch):
    monkeypatch.setenv("UPSCALE_BRIDGE_BROKER", "redis://h")
    assert "also needs --store and --files" in run("worker")[2]


@pytest.mark.parametrize("package", ["celery", "sqlalchemy", "psycopg", "redis", "s3fs"])
def test_missing_package_of_a_cluster_is_named(run, monkeypatch, package):
    real = cluster.find_spec
    monkeypatch.setattr(cluster, "find_spec", lambda name: (name != package and real(name)) or None)
    status, _, err = run("worker", *PARTS)
    assert status == 3
    assert "pip install 'celery' 'redis' 'SQLAlchemy' 'psycopg[binary]' 's3fs'" in err
