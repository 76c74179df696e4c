"""A server with the shipped model, which also goes by the names that Novita has."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server.sockless import MODEL, Server
from tests.server.stores import Databases
from upscale_bridge.contract import presets
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("4x-UltraSharp", "RealESRGAN_x4plus_anime_6B"):
        shutil.copy(SHIPPED_FOLDER / f"{MODEL}.safetensors", folder / f"{name}.safetensors")
    return Service(folders=lambda: [folder])


@pytest.fixture
def small_presets(monkeypatch):
    """Let 2k, 4k and 8k be sizes that take no time."""
    for index, name in enumerate(("2k", "4k", "8k")):
        monkeypatch.setitem(presets.PRESET_EDGES, name, 32 << index)


@pytest.fixture
def server(tmp_path, service, small_presets):
    return Server(tmp_path / "server", service)


@pytest.fixture(scope="session")
def databases(tmp_path_factory):
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def ends():
    """Ends listeners while the next test runs already; their own errors come to light here."""
    with ThreadPoolExecutor(4) as pool:
        ended = []
        yield lambda one: ended.append(pool.submit(one.__exit__))
    for one in ended:
        one.result()


@pytest.fixture
def listen(server, ends):
    """Start listeners that end with the test."""
    pytest.importorskip("uvicorn")
    from tests.server.listener import Listener

    open_ones = []

    def start(**options):
        open_ones.append(Listener(server, **options).__enter__())
        return open_ones[-1]

    yield start
    for one in open_ones:
        ends(one)


@pytest.fixture(scope="session")
def s3():
    pytest.importorskip("moto")
    from tests.server.clusters import S3

    made = S3()
    yield made
    made.close()
