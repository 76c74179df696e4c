"""What every test gets: a data folder of its own, fixed randomness and no network."""

import gc
import itertools
import os
import socket
import sys

import hypothesis
import pytest

# Read when torch is first imported, hence after this. Threads that spin while they wait for each
# other make tiny networks many times slower as soon as another program wants the cores too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests start Python some hundred times: each would compile all modules again, 0.6 s of them ours.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is no reason to fail, and a failure must be found again.
hypothesis.settings.register_profile(
    "tests", max_examples=60, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("tests")

LOOPBACK = {"127.0.0.1", "127.0.0.2", "::1", "localhost"}


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Spare the garbage collector what stays to the end: PyTorch's modules and all tests.

    It would look through them many times while they are made, then again at each full collection.
    Seldom enough also means that the small objects of a test are gone before it looks.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        gc.enable()


@pytest.fixture(scope="session")
def new_home(tmp_path_factory):
    """Return a path where nothing is yet, another one at each call."""
    numbers = itertools.count()
    return lambda: tmp_path_factory.getbasetemp() / f"home-{next(numbers)}"


@pytest.fixture(autouse=True)
def own_home(new_home, monkeypatch):
    """Keep the user's data folder out of the tests; theirs is not made before it is asked for."""
    folder = new_home()
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def fixed_randomness():
    """Seed the CPU alone: `torch.manual_seed` notes a stack for each kind of device, in 2 ms."""
    import torch

    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Refuse connections to anything but this machine, and names that would have to be looked up.

    Proxies of the machine that runs the tests would swallow what is meant for the loopback.
    """
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self, address):
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test connects to {address}")
        return connect(self, address)

    def guarded_look_up(host, *args, **kwargs):
        if host not in LOOPBACK:
            raise AssertionError(f"a test looks up {host}")
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        yield
