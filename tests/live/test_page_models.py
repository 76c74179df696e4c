"""Models that a node in ComfyUI's page downloads, from a stand-in of the place where they lie."""

import hashlib
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.fakes.service import FakeService
from tests.live import pages
from tests.live.host import ROOT, running
from tests.live.pages import start

pytestmark = pages.pytestmark

NAME, PARTLY, GONE = "stand-in-x4", "partly-x4", "gone-x4"
WEIGHTS = ROOT / "upscale_bridge" / "local" / "weights" / "UpscaleBridge-x4.safetensors"
FIRST = 400_000  # bytes that come at once
LIST = """app.graph.nodes.find((node) => node.comfyClass === "LocalESRGANUpscale")
    .widgets.find((widget) => widget.name === "model").options.values"""


class Handler(BaseHTTPRequestHandler):
    """Sends the first bytes of the weights, and the rest when `server.rest` is set.

    Of one file it never sends the rest, another one it does not have.
    """

    def do_GET(self):
        if GONE in self.path:
            self.send_error(404)
            return
        data, wanted = WEIGHTS.read_bytes(), self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + FIRST])
        (self.server.end if PARTLY in self.path else self.server.rest).wait(120)
        self.wfile.write(data[start + FIRST :])

    def log_message(self, *args):
        """Print nothing."""


@pytest.fixture(scope="module")
def files():
    """Where the weights lie; `ranges` are those that were asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ranges, server.rest, server.end = [], threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.end.set()
        server.shutdown()


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory, files):
    """A ComfyUI with a copy of the pack, whose catalogue knows three models at the stand-in."""
    base = tmp_path_factory.mktemp("comfyui")

    def prepare(base):
        pack = base / "custom_nodes" / "upscale-bridge"
        pack.unlink()
        shutil.copytree(ROOT, pack, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
        for name in (GONE, PARTLY, NAME):
            add_model(pack, name, f"http://127.0.0.1:{files.server_port}/{name}.safetensors")

    with FakeService() as service, running(base, service, prepare=prepare) as started:
        yield started


def add_model(pack, name, url):
    """Put a model at the end of a copy's catalogue."""
    path, data = pack / "upscale_bridge" / "local" / "catalogue.json", WEIGHTS.read_bytes()
    known = json.loads(path.read_text("utf-8"))
    first = known["models"][0]  # others restore faces
    entry = {**first, "name": name, "file_name": f"{name}.safetensors"}
    entry |= {"aliases": [], "licence": "0BSD", "url": url, "size": len(data)}
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    known["models"].append(entry)
    path.write_text(json.dumps(known), "utf-8")


def press(page, name):
    """Press a button of the panel; return when the server has answered."""
    with page.expect_response(re.compile("/upscale_bridge/models/")) as answer:
        pages.panel(page).get_by_role("button", name=name).click()
    assert answer.value.ok


def chosen(page, name):
    """Show a node with a model that is not here; return its panel."""
    pages.load(page, "1 Upscale an image")
    pages.set_widget(page, "LoadImage", "image", "small.png")
    pages.set_widget(page, "LocalESRGANUpscale", "model", name)
    told = pages.panel(page)
    megabytes = round(WEIGHTS.stat().st_size / 1e6)
    text = f"Not on this machine yet: {megabytes} MB from 127.0.0.1:"
    pages.expect(told).to_contain_text(text)
    pages.expect(told).to_contain_text("licence 0BSD")
    return told


def test_a_model_is_downloaded_from_the_node(page, comfyui, files):
    told = chosen(page, NAME)
    bar = told.get_by_role("progressbar", name=f"Download of {NAME}")
    here = comfyui.base / "models" / "upscale_models" / f"{NAME}.safetensors"
    assert page.evaluate(LIST)[-1] == NAME

    press(page, "Download")
    pages.expect(bar).to_be_attached()
    pages.expect(told).to_contain_text(re.compile(rf"{NAME}: \d+ %"))
    press(page, "Cancel")
    files.rest.set()
    pages.expect(told).to_contain_text("Stopped; the next download goes on from there.")
    assert not here.exists()

    files.rest.clear()
    press(page, "Download")
    pages.expect(bar).to_be_attached()
    files.rest.set()
    pages.expect(told).to_contain_text(f"{NAME} is here.")
    pages.expect(told).not_to_contain_text("Not on this machine yet")
    assert told.locator("button").count() == 0
    assert here.read_bytes() == WEIGHTS.read_bytes()
    assert files.ranges == [None, "bytes=393216-"]  # what came at once, in whole blocks
    page.wait_for_function(f"{LIST}.indexOf('{NAME}') === 1")  # among the files

    start(page)
    done = told.get_by_role("button", name="Compare before and after")
    pages.expect(done).to_be_attached(timeout=pages.LONG)


@pytest.mark.parametrize(
    ("name", "news"),
    [(PARTLY, r"partly-x4: 1\d %"), (GONE, r"answered HTTP 404\. Check the")],
    ids=["progress", "failure"],
)
def test_news_that_comes_before_the_answer_stays(page, name, news):
    told = chosen(page, name)

    def answer_late(route):
        answer = route.fetch()
        pages.expect(told).to_contain_text(re.compile(news))
        route.fulfill(response=answer)

    page.route("**/models/download", answer_late)
    press(page, "Download")
    page.wait_for_timeout(500)  # what would undo it has come
    pages.expect(told).to_contain_text(re.compile(news))
    pages.expect(told.locator("progress")).to_have_count(int("%" in news))
    if name == PARTLY:
        press(page, "Cancel")  # another download would wait for it
        pages.expect(told).to_contain_text("Stopped;")
