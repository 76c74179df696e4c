"""Bodies that are files: streamed, counted, and never another file than the one that was meant."""

import hashlib
import re
import tracemalloc

import pytest

from tests.network.test_line import BLOCKS, KEY, fetch, go_on, line_to, send
from tests.raw_server import RawServer
from upscale_bridge.contract.files import StoredFile
from upscale_bridge.contract.http import Call, post_file, put_file
from upscale_bridge.errors import InvalidInputError, StoppedError, TransportError
from upscale_bridge.images.pictures import Picture
from upscale_bridge.network.bodies import Body

LARGE = 64 << 20

__all__ = ["fetch", "go_on"]


def stored(path, content=None):
    """Return a file as it is sent, written first if it has a content."""
    if content is not None:
        path.write_bytes(content)
    size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    return StoredFile(path, "video/mp4", "mp4", size, digest)


class Sink:
    """A server that counts what comes and keeps its hash, and the content if it is short."""

    def __init__(self):
        self.size, self.digest, self.content = 0, hashlib.sha256(), b""

    def __call__(self, server, connection, head):
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
        while self.size < length:
            block = connection.recv(1 << 16)
            if not block:
                return
            self.size += len(block)
            self.digest.update(block)
            self.content += block if self.size < BLOCKS else b""
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("once", [False, True])
def test_a_file_arrives_whole_and_is_counted(tmp_path, once):
    content, sink, told = bytes(range(256)) * 3000, Sink(), []
    with RawServer(sink) as server:
        call = put_file("/put", stored(tmp_path / "a.mp4", content), {"Content-Type": "video/mp4"})
        found = send(line_to(server.url), call, once=once, progress=lambda *far: told.append(far))
    assert found.status == 200
    assert sink.content == content
    assert told[-1] == (len(content), len(content))
    assert told == sorted(told)
    assert len(told) > 10
    assert "content-type: video/mp4" in server.heads[0].lower()


def test_a_form_has_the_file_between_its_marks(tmp_path):
    sink = Sink()
    with RawServer(sink) as server:
        file = stored(tmp_path / "a.mp4", b"moving")
        send(line_to(server.url), post_file("/form", "video.mp4", file))
        sent, sink.size, sink.content = sink.content, 0, b""
        send(
            line_to(server.url),
            post_file("/form", "video.mp4", Picture(b"moving", "video/mp4", 0, 0)),
        )
    mark = sent.split(b"\r\n")[0]
    assert b'name="file"; filename="video.mp4"\r\nContent-Type: video/mp4\r\n\r\nmoving\r\n' in sent
    assert sent.endswith(mark + b"--\r\n")
    assert sink.content.replace(sink.content.split(b"\r\n")[0], mark) == sent


def test_a_large_file_is_never_whole_in_memory(tmp_path):
    path, sink = tmp_path / "large.mp4", Sink()
    with path.open("wb") as file:
        file.truncate(LARGE)
    large = StoredFile(path, "video/mp4", "mp4", LARGE, hashlib.sha256(bytes(LARGE)).hexdigest())
    with RawServer(sink) as server:
        line = line_to(server.url)
        tracemalloc.start()
        try:
            send(line, put_file("/put", large, {}))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sink.digest.hexdigest() == large.sha256
    assert peak < 8 << 20


CHANGES = {
    "one byte": lambda path: path.write_bytes(b"b" + b"a" * 99_999),
    "the last one": lambda path: path.write_bytes(b"a" * 99_999 + b"b"),
    "shorter": lambda path: path.write_bytes(b"a" * 50_000),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_has_become_another_is_not_sent_whole(tmp_path, change):
    file, sink = stored(tmp_path / "a.mp4", b"a" * 100_000), Sink()
    change(file.path)
    with RawServer(sink) as server, pytest.raises(InvalidInputError, match=r"a\.mp4"):
        send(line_to(server.url), put_file("/put", file, {}))
    assert sink.size < file.size


def test_what_was_added_to_a_file_is_not_sent(tmp_path):
    file, sink = stored(tmp_path / "a.mp4", b"a" * 1000), Sink()
    file.path.write_bytes(b"a" * 2000)
    with RawServer(sink) as server:
        send(line_to(server.url), put_file("/put", file, {}))
    assert sink.content == b"a" * 1000


def test_a_stop_ends_an_upload_and_closes_the_file(tmp_path):
    file, sink, told = stored(tmp_path / "a.mp4", b"a" * 3_000_000), Sink(), []

    def stop():
        if len(told) > 5:
            raise StoppedError

    with RawServer(sink) as server, pytest.raises(StoppedError):
        send(
            line_to(server.url),
            put_file("/put", file, {}),
            stop=stop,
            progress=lambda *far: told.append(far),
        )
    assert told[-1][0] < file.size


def test_a_broken_upload_was_not_sent(tmp_path):
    def hang_up(server, connection, head):
        connection.close()

    file = stored(tmp_path / "a.mp4", b"a" * 30_000_000)
    with RawServer(hang_up) as server, pytest.raises(TransportError) as caught:
        send(line_to(server.url), put_file("/put", file, {}))
    assert not caught.value.sent
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("size", [1, 3, 7, 100, -1])
def test_pieces_are_read_one_after_the_other(tmp_path, size):
    pieces = (
        b"",
        b"head",
        stored(tmp_path / "a", b"file"),
        b"",
        stored(tmp_path / "b", b""),
        b"end",
    )
    body, found = Body(pieces), []
    while block := body.read(size):
        found.append(block)
    assert b"".join(found) == b"headfileend"
    assert body.size == 11
    assert body.left == 0
    assert body.read(size) == b""


def test_a_call_without_a_body_has_none():
    assert Body((Call("GET", "/").body, *Call("GET", "/").rest)).size == 0
