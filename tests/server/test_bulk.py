"""`local --server`: what a server of ours makes of a folder is what this machine would make."""

import os
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

pytest.importorskip("uvicorn")

from tests.raw_server import RawServer
from tests.remote.host import wait_until
from tests.server.listener import Listener
from tests.server.sockless import MODEL, Server, pixels
from upscale_bridge import cli
from upscale_bridge.cli import through, upscale
from upscale_bridge.images import codecs
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.remote import hosts, lifecycle
from upscale_bridge.service import Service
from upscale_bridge.vendors import UpscaleBridgeLocal, WaveSpeedUpscaleAny
from upscale_bridge.vendors.wavespeed import offers

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "KEY_OF_THE_FARM"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model whose weights are a little different from those of the shipped one."""
    folder = tmp_path_factory.mktemp("models")
    weights = load_file(SHIPPED_FOLDER / f"{MODEL}.safetensors")
    save_file({name: 0.9 * one for name, one in weights.items()}, folder / "other.safetensors")
    return folder


@pytest.fixture(scope="module")
def service(models):
    return Service(folders=lambda: [models])


@pytest.fixture(scope="module")
def farm(tmp_path_factory, service):
    """A server that works."""
    with Listener(Counted(tmp_path_factory.mktemp("farm"), service)) as listener:
        yield listener


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(hosts, "_PRIVATE_FIRST_POLL", 0.02)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Run `local`; return its exit status and what it said."""

    def call(*arguments):
        capsys.readouterr()
        status = cli.main(["local", *map(str, arguments)])
        return status, capsys.readouterr().err

    return call


@pytest.fixture
def folder(tmp_path):
    """Pictures of all channels and of 16 bits, and one that carries EXIF and a comment."""
    made = tmp_path / "in"
    (made / "below").mkdir(parents=True)
    for name, mode in (("rgb", "RGB"), ("clear", "RGBA"), ("grey", "L"), ("below/both", "LA")):
        Image.fromarray(pixels(11, 8, mode), mode).save(made / f"{name}.png")
    deep = torch.rand(8, 11, 3, generator=torch.Generator().manual_seed(1))
    (made / "deep.png").write_bytes(codecs.encode(deep, bits=16).data)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # turned by a quarter
    Image.fromarray(pixels(11, 8)).save(made / "photo.jpg", exif=exif, comment=b"a note")
    return made


def results(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


class Counted(Server):
    """A server that counts the tasks it has accepted, also those that it was told to forget."""

    def __init__(self, folder, service, **options):
        super().__init__(folder, service, **options)
        self.accepted = set()
        submit = self.queue.submit

        def counting(*facts):
            job = submit(*facts)
            self.accepted.add(job.id)
            return job

        self.queue.submit = counting


def submits(farm):
    return len(farm.server.accepted)


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("in", "--scale 2.5"),
        ("in", "--width 30 --height 40 --fit-mode fill --colour-match lab"),
        ("in", "--width 30 --height 20 --fit-mode stretch --mixed-with other --mix-share 0.3"),
        ("in/clear.png", "--longest-edge 7 --colour-match wavelet --precision fp32"),
        ("in/clear.png", "--megapixels 0.1 --model other --tile 64 --alpha lanczos"),
    ],
)
def test_files_are_what_this_machine_makes_of_them(run, folder, farm, monkeypatch, what, how):
    flags = (what, "--recursive", *how.split())
    count = 6 if what == "in" else 1
    with monkeypatch.context() as patch:
        patch.setattr(upscale, "make_service", lambda args: farm.server.service)
        assert run(*flags, "-o", "here")[0] == 0
    status, told = run(*flags, "-o", "there", "--server", farm.url, "--jobs", 8)
    assert (status, told.count("(new, task ")) == (0, count), told
    assert results(Path("there")) == results(Path("here"))
    assert len(results(Path("here"))) == count


def test_second_run_submits_nothing(run, folder, farm):
    flags = ("in", "-o", "out", "--server", farm.url)
    assert run(*flags)[0] == 0
    before = submits(farm)
    status, told = run(*flags)
    assert (status, told.count("skipped"), submits(farm)) == (0, 5, before)
    status, told = run(*flags, "--overwrite")
    assert (status, told.count("(reused, task "), submits(farm)) == (0, 5, before)


def test_dry_run_sends_no_file_and_costs_nothing(run, folder, farm):
    before = submits(farm)
    status, told = run("in", "-o", "out", "--scale", 3, "--server", farm.url, "--dry-run")
    assert (status, submits(farm)) == (0, before)
    assert f"{Path('in/photo.jpg')}: 8 x 11 -> 24 x 33, would be submitted\n" in told
    assert told.endswith("Nothing to pay. Nothing was sent.\n")


@contextmanager
def working(server):
    """Let a server do what it is given."""
    stop = threading.Event()

    def work():
        while not stop.wait(0.01):
            server.work()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_run_that_was_killed_goes_on_and_submits_each_picture_once(run, tmp_path, service):
    made = tmp_path / "frames"
    made.mkdir()
    for index in range(6):
        Image.fromarray(pixels(11, 8, seed=index)).save(made / f"{index:04}.png")
    server = Counted(tmp_path / "server", service)
    with Listener(server, works=False) as farm:
        flags = ("frames", "-o", "out", "--scale", "2", "--server", farm.url, "--jobs", "2")
        child = subprocess.Popen(
            [sys.executable, "-m", "upscale_bridge", "local", *flags],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            wait_until(lambda: submits(farm) == 2)
            assert server.work(most=2) == 2
            wait_until(lambda: submits(farm) == 4)
            assert server.queue.counts()["queued"] == 2
        finally:
            child.kill()
            child.wait()
        assert len(results(tmp_path / "out")) == 2
        with working(server):
            status, told = run(*flags)
    assert (status, submits(farm)) == (0, 6)
    assert (told.count("skipped"), told.count("(resumed"), told.count("(new")) == (2, 2, 2)
    assert sorted(map(str, results(tmp_path / "out"))) == [f"{index:04}.png" for index in range(6)]


# --- room on the server


def test_server_forgets_what_was_kept_here_so_that_the_next_pictures_have_room(run, folder, farm):
    assert run("in", "-o", "out", "--scale", 3, "--server", farm.url)[0] == 0
    assert farm.server.queue.counts() == {"queued": 0, "running": 0, "done": 0, "failed": 0}
    assert list((farm.server.customers.path.parent / "files").glob("*.png")) == []


def test_frames_that_are_alike_are_submitted_once(run, farm):
    Path("frames").mkdir()
    for index in range(4):
        Image.fromarray(pixels(11, 8, seed=9)).save(f"frames/{index}.png")
    before = submits(farm)
    assert run("frames", "-o", "out", "--server", farm.url, "--jobs", 4)[0] == 0
    assert (submits(farm), len(results(Path("out")))) == (before + 1, 4)
    assert len(set(results(Path("out")).values())) == 1


def test_kept_result_that_is_lost_is_said_once_and_made_again(run, farm):
    picture()
    flags = ("a.png", "-o", "b.png", "--scale", 3, "--server", farm.url, "--overwrite")
    assert run(*flags)[0] == 0
    (kept,) = (Path(os.environ["UPSCALE_BRIDGE_HOME"]) / "results").glob("*.png")
    kept.unlink()
    before = submits(farm)
    status, told = run(*flags)
    assert (status, "Running again submits it anew.\n" in told, submits(farm)) == (7, True, before)
    status, told = run(*flags)
    assert (status, "(new, task" in told, submits(farm)) == (0, True, before + 1)


def test_who_joined_gets_what_another_program_fetched_and_the_server_forgot(
    tmp_path, service, monkeypatch
):
    fetched, joined = threading.Event(), threading.Event()
    wait_for = lifecycle.wait_for

    def wait(context, ticket):
        if context.view.how == "joined":
            joined.set()
            assert fetched.wait(60)
        return wait_for(context, ticket)

    monkeypatch.setattr(lifecycle, "wait_for", wait)
    server = Counted(tmp_path / "server", service)
    with Listener(server, works=False) as farm, ThreadPoolExecutor(2) as pool:
        flags = Namespace(server=farm.url, key_from=None, jobs=None)

        def start():
            operation = UpscaleBridgeLocal(scale_factor=2)
            return pool.submit(through.make_service(flags).run, operation, torch.zeros(1, 4, 5, 3))

        first = start()
        wait_until(lambda: server.queue.counts()["queued"] == 1)
        second = start()
        assert joined.wait(60)
        with working(server):
            assert first.result().images.shape == (1, 8, 10, 3)
        fetched.set()
        assert torch.equal(second.result().images, first.result().images)
    assert submits(farm) == 1


# --- who is asked, with which key, and what is refused


def page(status, body):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize(
    "said",
    [
        page("200 OK", "<html>"),
        page("404 Not Found", "no"),
        page("200 OK", '{"code": 200, "message": "success", "data": []}'),
        page("200 OK", '{"code": 200, "data": [{"model_id": "upscale-bridge/local"}]}'),
    ],
    ids=["page", "unknown address", "older", "none of ours"],
)
def test_server_that_does_not_offer_it_is_told_in_one_sentence(run, said):
    picture()
    with RawServer(lambda server, connection, head: connection.sendall(said)) as other:
        status, told = run("a.png", "-o", "b.png", "--server", other.url)
        assert len(other.heads) == 1
    assert status == 6
    assert "does not offer upscale-bridge/local: it is no server of Upscale Bridge, or one" in told
    assert not Path("b.png").exists()


def test_server_that_was_updated_within_the_hour_is_asked_once_more(run, farm, monkeypatch):
    picture()
    older = offers.models()[:-1]
    with monkeypatch.context() as patch:
        patch.setattr(offers, "models", lambda: older)
        flags = Namespace(server=farm.url, key_from=None, jobs=None)
        through.make_service(flags).client.offers.refresh(WaveSpeedUpscaleAny)
        assert run("a.png", "-o", "b.png", "--server", farm.url)[0] == 6
    assert run("a.png", "-o", "b.png", "--server", farm.url)[0] == 0


def picture():
    Image.fromarray(pixels(11, 8)).save("a.png")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--server URL --device cpu", "--device is about this machine"),
        ("--server URL --models-dir .", "--models-dir is about this machine"),
        ("--server URL --download", "--download is about this machine"),
        ("--jobs 4", "--jobs is for --server"),
        ("--key-from NAME", "--key-from is for --server"),
        ("--dry-run", "--dry-run is for --server"),
        ("--server URL --width 9 --scale 2", "Both --scale and --width tell how large"),
        ("--server URL --denoise 0.5", "denoise is for the model realesr-general-x4v3"),
        ("--server ftp://here", "--server must be an address such as https://host:port"),
        ("--server http://user:secret@127.0.0.1", "--server must be an address such as"),
    ],
)
def test_flags_that_do_not_go_together_are_refused_before_anything_is_sent(run, flags, words):
    picture()
    with RawServer(lambda server, connection, head: None) as never:
        status, told = run("a.png", "-o", "b.png", *flags.replace("URL", never.url).split())
        assert never.heads == []
    assert status in (2, 3)
    assert words in told
    assert "secret" not in told


def test_missing_model_is_told_in_the_servers_words(run, farm):
    picture()
    status, told = run("a.png", "-o", "b.png", "--server", farm.url, "--model", "nope")
    assert status == 6
    assert "Upscale Bridge answered HTTP 400: There is no model nope on this server" in told


@pytest.fixture
def locked(tmp_path, service):
    """A server that wants a key, and the headers that came with it."""
    server = Server(tmp_path / "locked", service)
    key = server.customers.add("anna")
    with Listener(server, host="127.0.0.1") as listener:
        yield listener, key


def test_key_comes_from_the_variable_that_is_named(run, locked, monkeypatch, tmp_path):
    farm, key = locked
    picture()
    flags = ("a.png", "-o", "b.png", "--server", farm.url)
    # That of the vendor, which is set for another host, never goes there.
    monkeypatch.setenv("WAVESPEED_API_KEY", key)
    status, told = run(*flags)
    assert (status, "--key-from" in told) == (6, True)
    status, told = run(*flags, "--key-from", key)
    assert (status, "--key-from takes the name of the environment variable" in told) == (3, True)
    assert key not in told
    monkeypatch.setenv(VARIABLE, key[::-1])
    assert run(*flags, "--key-from", VARIABLE)[0] == 6
    monkeypatch.setenv(VARIABLE, key)
    status, told = run(*flags, "--key-from", VARIABLE)
    assert (status, key in told) == (0, False)
    kept = [path for path in Path(os.environ["UPSCALE_BRIDGE_HOME"]).rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if key.encode() in path.read_bytes()]


def test_key_that_is_set_for_the_host_serves_without_a_flag(run, locked, monkeypatch):
    farm, key = locked
    picture()
    monkeypatch.setenv("WAVESPEED_API_KEY", key)
    monkeypatch.setenv("WAVESPEED_BASE_URL", f"{farm.url}/")
    assert run("a.png", "-o", "b.png", "--server", farm.url)[0] == 0


def test_public_server_without_a_key_is_told_what_to_name(run, monkeypatch):
    picture()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    status, told = run("a.png", "-o", "b.png", "--server", "https://upscale.example.com")
    assert status == 3
    assert "A server at a public address wants a key. Name the environment variable" in told
