"""The vendors' own Python clients, unmodified, against the server in its own processes.

`wavespeed` and `novita-client` 0.7 come with `dev/requirements-check.txt`. Only 0.5 of the latter
speaks v2; dev/check.py sets NOVITA_CLIENT_V2 to a folder that holds it. With CLIENTS_IN_CLUSTER=1
the same is asked of a cluster too: two listeners that take turns, two machines, real stores.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.server.clusters import THREADS, Balancer, Cluster
from tests.server.running import RunningServer
from tests.server.sockless import MODEL, image, opened
from upscale_bridge import LocalUpscale
from upscale_bridge.images import codecs
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.service import Service

CLIENTS = Path(__file__).parent / "clients"
RUN_SECONDS = 180
IN_CLUSTER = bool(os.environ.get("CLIENTS_IN_CLUSTER"))
PICTURE = image(width=128, height=16)  # 2k and 4k are whole passes of a model from it


@pytest.fixture(scope="module", params=["machine", "cluster"][: 1 + IN_CLUSTER])
def server(request, tmp_path_factory):
    models, home = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("home")
    shutil.copy(SHIPPED_FOLDER / f"{MODEL}.safetensors", models / "4x-UltraSharp.safetensors")
    alone = RunningServer(home / "server", models, keys=1, flags=("--substitute",))
    if request.param == "machine":
        with alone as running:
            yield running
        return
    files = request.getfixturevalue("s3").url
    flags = ("--substitute", "--keys", str(alone.home / "server-keys.json"))
    cluster = Cluster(home / "cluster", listeners=2, workers=(1, 1), flags=flags, files=files)
    for one in (*cluster.listeners, *cluster.machines):
        (one.home / "models").symlink_to(models, target_is_directory=True)
    with cluster:
        balancer = Balancer([one.port for one in cluster.listeners])
        yield SimpleNamespace(url=balancer.url, keys=alone.keys, threads=THREADS)
        balancer.close()


@pytest.fixture(scope="module")
def ask(server, tmp_path_factory):
    """Return a function that runs a client and returns what it printed."""
    path = tmp_path_factory.mktemp("pictures") / "small.png"
    path.write_bytes(PICTURE)

    def run(script, folder=""):
        environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
        if folder:
            environment["PYTHONPATH"] = folder
        made = subprocess.run(
            [sys.executable, str(CLIENTS / script), server.url, server.keys[0], str(path)],
            capture_output=True,
            env=environment,
            timeout=RUN_SECONDS,
            text=True,
        )
        assert made.returncode == 0, made.stderr[-3000:]
        return json.loads(made.stdout)

    return run


@pytest.fixture(scope="module")
def wavespeed(ask):
    _need("wavespeed", "2.")
    return ask("wavespeed_client.py")


@pytest.fixture(scope="module")
def novita(ask):
    _need("novita-client", "0.7.")
    return ask("novita_v3.py")


@pytest.fixture(scope="module")
def novita_v2(ask):
    folder = os.environ.get("NOVITA_CLIENT_V2", "")
    if not folder:
        pytest.skip("NOVITA_CLIENT_V2 is not set")
    return ask("novita_v2.py", folder)


def _need(package, start):
    try:
        found = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if not found.startswith(start):
        pytest.skip(f"{package} {found} is installed, not {start}x")


@pytest.fixture
def enlarged(server):
    """Return what tells the pixels that the local engine makes of the picture, as PNG holds them.

    By how many threads share the sums one number in 20,000 differs by a step.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(getattr(server, "threads", usual))
    yield enlarge
    torch.set_num_threads(usual)


def enlarge(factor):
    pixels = codecs.decode(PICTURE, "the image").pixels
    found = Service().run(LocalUpscale(scale_factor=factor), pixels[None]).images[0]
    return np.asarray(opened(codecs.encode(found).data))


def decoded(data):
    return opened(base64.b64decode(data, validate=True))


# --- WaveSpeed


@pytest.mark.parametrize(
    "way", ["asynchronous", "told outputs", "at once outputs", "base64", "base64 at once"]
)
def test_wavespeed_gets_the_picture(wavespeed, way):
    (found,) = map(decoded, wavespeed[way])
    assert (found.format, found.size) == ("PNG", (2048, 256))
    assert np.array_equal(np.asarray(found), np.asarray(decoded(wavespeed["asynchronous"][0])))


def test_wavespeed_gets_the_format_that_it_asked_for(wavespeed):
    (found,) = map(decoded, wavespeed["jpeg"])
    assert (found.format, found.size) == ("JPEG", (2048, 256))


def test_wavespeed_is_told_the_state(wavespeed):
    assert [wavespeed[name] for name in ("told", "result", "at once")] == ["completed"] * 3
    assert wavespeed["told error"] is None


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("unknown model", 404, "does not have this address"),
        ("missing image", 400, "image"),
        ("not an image", 400, "image"),
        ("unknown task", 404, "task"),
        ("wrong key", 401, "API key"),
        ("wrong key upload", 401, "API key"),
    ],
)
def test_wavespeed_is_refused(wavespeed, case, status, words):
    assert f"HTTP {status}" in wavespeed[case]
    assert words in wavespeed[case]


def test_wavespeed_is_told_why(wavespeed):
    told = wavespeed["unknown model told"]
    assert (told["status"], told["outputs"], told["task_id"]) == ("failed", None, "unknown")
    assert told["error"] == wavespeed["unknown model"]


# --- Novita v3


@pytest.mark.parametrize(("case", "size"), [("factor", (256, 32)), ("size", (2048, 256))])
def test_novita_gets_the_picture(novita, case, size):
    found = novita[case]
    (data,) = found["images"]
    assert (decoded(data).format, decoded(data).size) == ("PNG", size)
    assert found["status"] == "TASK_STATUS_SUCCEED"
    assert (found["type"], found["lifetime"]) == (["png"], ["3600"])
    assert (found["videos"], found["extra"], found["percent"]) == ([], True, 100)
    known = {"TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED"}
    assert set(found["seen"]) <= known


def test_novita_gets_what_the_local_engine_makes(novita, enlarged):
    assert np.array_equal(np.asarray(decoded(novita["factor"]["images"][0])), enlarged(2))


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("unknown model", 400, "no-such-model"),
        ("missing image", 400, "image"),
        ("unknown task", 404, ""),  # this client shows no body of a poll
        ("unknown address", 404, "address"),
        ("wrong key", 403, "INVALID_API_KEY"),
    ],
)
def test_novita_is_refused(novita, case, status, words):
    assert f"status {status}" in novita[case]
    assert words in novita[case]


# --- Novita v2


@pytest.mark.parametrize(
    ("case", "size"), [("factor", (256, 32)), ("size", (40, 40)), ("no model", (64, 8))]
)
def test_novita_v2_gets_the_picture(novita_v2, case, size):
    found = novita_v2[case]
    assert (found["code"], found["status"], found["progress"]) == ("NORMAL", "SUCCESSFUL", 100)
    (data,) = found["images"]
    assert decoded(data).size == size


def test_novita_v2_hears_which_model_stands_in(novita_v2, enlarged):
    found = novita_v2["vendor's model"]
    assert found["info"] == "UpscaleBridge-x4 stands in for RealESRGAN_x4plus"
    assert np.array_equal(np.asarray(decoded(found["images"][0])), enlarged(2))
    assert novita_v2["factor"]["info"] == ""
    assert (novita_v2["no model"]["info"], novita_v2["no model"]["status"]) == ("", "SUCCESSFUL")


def test_novita_v2_gets_what_the_local_engine_makes(novita_v2, enlarged):
    assert np.array_equal(np.asarray(decoded(novita_v2["factor"]["images"][0])), enlarged(2))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("unknown model", "no-such-model"),
        ("missing image", "image"),
        ("wrong key", "API key"),
    ],
)
def test_novita_v2_is_refused(novita_v2, case, words):
    assert "failed with response" in novita_v2[case]
    assert words in novita_v2[case]
