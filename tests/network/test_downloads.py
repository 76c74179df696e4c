"""Downloads, against a server on this machine that misbehaves on request."""

import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from upscale_bridge.errors import DownloadError, StoppedError
from upscale_bridge.monitor import Monitor
from upscale_bridge.network.downloads import download

BLOCK = 1 << 18
CONTENT = bytes(range(256)) * (5 * BLOCK // 256) + b"the end"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `CONTENT` the way `server.mode` says and remembers the ranges asked for."""

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.ranges.append(wanted)
        server.logins.append(self.headers.get("Authorization"))
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if server.mode == "missing":
            self.send_error(404)
        elif server.mode == "redirect" and "/moved" not in self.path:
            self.send_response(302)
            self.send_header("Location", "/moved?token=hush")
            self.end_headers()
        elif server.mode == "broken redirect" and "/moved" in self.path:
            self.send_error(403)
        elif start >= len(CONTENT):
            self.send_error(416)
        elif server.mode == "no ranges" or not wanted:
            self.answer(200, CONTENT)
        else:
            self.answer(206, CONTENT[start:])

    def answer(self, status, body):
        self.send_response(status)
        if self.server.mode != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cuts = self.server.cuts
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)

    def log_message(self, *args):
        """Print nothing."""


@pytest.fixture
def server():
    """A server; `cuts` lists after how many bytes its next answers break off."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.mode, made.ranges, made.cuts, made.logins = "", [], [], []
        made.url = f"http://127.0.0.1:{made.server_port}/weights.pth"
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "weights.pth"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "weights.pth.part"


class Steps(Monitor):
    """Remembers progress; stops after `most` steps."""

    def __init__(self, most=None):
        self.steps = []
        self.most = most

    def check(self):
        if self.most is not None and len(self.steps) >= self.most:
            raise StoppedError

    def progress(self, done, total):
        self.steps.append((done, total))


def test_file_is_fetched_checked_and_reported(server, target, part):
    monitor = Steps()
    download(server.url, target, monitor, size=len(CONTENT), sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert not part.exists()
    assert monitor.steps[-1] == (len(CONTENT), len(CONTENT))
    assert all(before < after for before, after in pairwise(monitor.steps))
    assert server.ranges == [None]


def test_file_of_unknown_size_and_hash_is_fetched(server, target):
    download(server.url, target, Monitor())
    assert target.read_bytes() == CONTENT


def test_reply_without_a_length_is_fetched(server, target):
    server.mode = "no length"
    monitor = Steps()
    download(server.url, target, monitor, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert all(done <= total for done, total in monitor.steps)


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_broken_connection_is_resumed(server, target, size):
    server.cuts = [2 * BLOCK + 100, BLOCK + 5]
    monitor = Steps()
    download(server.url, target, monitor, size=size, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert len(server.ranges) == 3
    assert server.ranges[0] is None
    # Each goes on where the one before ended.
    starts = [int(wanted[6:-1]) for wanted in server.ranges[1:]]
    assert 2 * BLOCK <= starts[0] < starts[1]
    assert [done for done, _ in monitor.steps] == sorted(done for done, _ in monitor.steps)


def test_connection_that_always_breaks_is_given_up_and_kept(server, target, part):
    server.cuts = [BLOCK + 1] * 4
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1"):
        download(server.url, target, Monitor(), size=len(CONTENT), sha256=SHA256)
    assert not target.exists()
    kept = part.stat().st_size
    assert part.read_bytes() == CONTENT[:kept] != b""
    download(server.url, target, Monitor(), size=len(CONTENT), sha256=SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kept", "mode", "size", "ranges"),
    [
        (CONTENT[:1000], "", None, ["bytes=1000-"]),
        (CONTENT, "", len(CONTENT), []),
        (b"x" * 1000, "no ranges", len(CONTENT), ["bytes=1000-"]),
        (b"x" * (len(CONTENT) + 1), "", None, [f"bytes={len(CONTENT) + 1}-", None]),
    ],
    ids=["used", "complete", "of a server without ranges", "refused"],
)
def test_part_of_an_earlier_run_is_used_if_it_can_be(
    server, target, part, kept, mode, size, ranges
):
    server.mode = mode
    part.write_bytes(kept)
    download(server.url, target, Monitor(), size=size, sha256=SHA256)
    assert server.ranges == ranges
    assert target.read_bytes() == CONTENT


def test_missing_file_is_a_clear_error(server, target, part):
    server.mode = "missing"
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 answered HTTP 404") as caught:
        download(server.url, target, Monitor())
    assert server.url in str(caught.value)
    assert str(target.parent) in str(caught.value)
    assert not target.exists()
    assert not part.exists()


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"sha256": "0" * 64}, f"is not the expected file.*{SHA256}"),
        ({"size": 1000}, "more than the expected 1000 bytes"),
        ({"size": len(CONTENT) + 9}, f"{len(CONTENT)} bytes instead of {len(CONTENT) + 9}"),
    ],
)
def test_what_is_not_the_expected_file_is_thrown_away(server, target, part, expected, said):
    with pytest.raises(DownloadError, match=said):
        download(server.url, target, Monitor(), **expected)
    assert not target.exists()
    assert not part.exists() or expected == {"size": 1000}, "it is not read to its end"


def test_server_that_is_not_there_is_a_clear_error(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"Cannot reach 127\.0\.0\.1.*Check the connection"):
        download(f"http://127.0.0.1:{port}/x.pth", target, Monitor())
    assert not target.exists()


def test_passwords_of_a_netrc_file_are_not_used(server, target, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login me password hush\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.mode = "redirect"
    download(server.url, target, Monitor(), sha256=SHA256)
    assert server.logins == [None, None]


def test_cancelled_download_is_kept_and_resumed(server, target, part):
    with pytest.raises(StoppedError):
        download(server.url, target, Steps(most=3), size=len(CONTENT), sha256=SHA256)
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert not target.exists()
    download(server.url, target, Monitor(), size=len(CONTENT), sha256=SHA256)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert target.read_bytes() == CONTENT


def test_existing_file_is_replaced_only_by_a_good_one(server, target):
    target.write_bytes(b"old")
    with pytest.raises(DownloadError):
        download(server.url, target, Monitor(), sha256="0" * 64)
    assert target.read_bytes() == b"old"
    download(server.url, target, Monitor(), sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_folder_that_cannot_be_written_is_a_clear_error(server, tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "weights.pth"
    with pytest.raises(DownloadError, match=r"Cannot write .*weights\.pth.*another folder"):
        download(server.url, target, Monitor())


@pytest.mark.parametrize("mode", ["missing", "broken redirect"])
def test_secrets_in_addresses_are_not_told(server, target, mode):
    server.mode = mode
    url = server.url.replace("//", "//user:hush@") + "?token=hush#hush"
    if mode == "broken redirect":
        url = url.replace("/weights.pth", "/moved")
    with pytest.raises(DownloadError) as caught:
        download(url, target, Monitor())
    assert "hush" not in str(caught.value)


def test_secrets_of_a_redirect_are_not_told(server, target):
    server.mode = "redirect"
    with pytest.raises(DownloadError) as caught:
        download(server.url, target, Monitor(), size=10)
    assert "hush" not in str(caught.value)
