"""Both ways to hand in a file: a ticket and a PUT, or multipart."""

import os

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.server.sockless import BASE, WAVESPEED, image, refusal, wavespeed
from upscale_bridge.contract.http import Call
from upscale_bridge.contract.server import PostUpload
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.server import uploads
from upscale_bridge.server.api_clients import ApiClient
from upscale_bridge.vendors import server_at

TICKETS, FORMS = "/api/v3/media/uploads", "/api/v3/media/upload/binary"
PNG = image()
ANNA = ApiClient("anna")


def promise(server, **body):
    reply = server.post(TICKETS, {"filename": "a.png", "size": len(PNG), **body})
    assert reply.status == 200
    data = reply.json()["data"]
    assert data["upload"]["method"] == "PUT"
    assert data["upload"]["headers"] == {}
    return data["upload"]["url"], data["download_url"]


def put(server, url, data=PNG):
    return server.call("PUT", url.removeprefix(BASE), data, key="")


def form(data=PNG, name="image.png", field="file", mime=None):
    """Return the body and the type of a form as requests encodes it."""
    part = (name, data, mime) if mime else (name, data)
    request = requests.Request("POST", BASE + FORMS, files={field: part}).prepare()
    return request.body, request.headers["Content-Type"]


def send(server, body, kind, url=FORMS):
    return server.post(url, body, content_type=kind)


class Store:
    """Keeps uploads in a list."""

    most = 1000

    def __init__(self):
        self.kept = []

    def new_name(self, mime):
        return "name.bin"

    def take(self, name, data, *_):
        self.kept.append(data)


# --- a ticket and a PUT


@pytest.mark.parametrize("root", ["/api/v3", "/api/v2"])
def test_promised_file_is_taken_and_found(server, root):
    reply = server.post(root + "/media/uploads", {"content_type": "image/png"}).json()
    url, address = reply["data"]["upload"]["url"], reply["data"]["download_url"]
    assert url.startswith(BASE + "/uploads/")
    assert address.startswith(BASE + "/files/")
    assert server.file(address).status == 404
    assert put(server, url).status == 200
    assert server.file(address).body == PNG
    assert server.file(address).headers["content-type"] == "image/png"
    reply = server.post(WAVESPEED, wavespeed() | {"image": address})
    assert reply.status == 200
    assert server.work() == 1
    assert server.queue.get(reply.json()["data"]["id"]).state == "done"


def test_file_may_be_put_once(server):
    url, address = promise(server)
    assert put(server, url).status == 200
    assert put(server, url, b"other").status == 403
    assert server.file(address).body == PNG


@pytest.mark.parametrize(
    "path", ["", "x", "../keys.json", "..%2fkeys.json", "x" * 22 + ".png", "a/b.png"]
)
def test_file_that_was_not_promised_is_refused(server, path):
    promise(server)
    reply = put(server, f"{BASE}/uploads/{path}")
    assert (reply.status, reply.json()["code"]) == (403, 403)
    assert server.files.size() == 0


def test_results_cannot_be_overwritten(server):
    url, address = promise(server)
    put(server, url)
    name = address.rpartition("/")[2]
    assert put(server, f"{BASE}/files/{name}", b"x").status == 404
    assert put(server, f"{BASE}/uploads/{name}", b"x").status == 403
    assert server.file(address).body == PNG


def test_oldest_promises_are_dropped(server, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_PROMISED", 3)
    urls = [promise(server)[0] for _ in range(5)]
    assert [put(server, url).status for url in urls] == [403, 403, 200, 200, 200]


@pytest.mark.parametrize("kind", ["text/html", "../../x", 5, None, {"a": 1}, "image/svg+xml"])
def test_odd_types_are_sent_as_plain_bytes(server, kind):
    url, address = promise(server, content_type=kind)
    put(server, url, b"<script>")
    reply = server.file(address)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_ticket_for_no_json_is_refused(server, body):
    assert refusal(server.post(TICKETS, body))[:2] == (400, 400)


def test_full_disk_is_told(server):
    server.files._most = 10
    url, _ = promise(server)
    assert put(server, url).status == 507
    assert send(server, *form()).status == 429


# --- multipart


@pytest.mark.parametrize("root", ["/api/v3", "/api/v2"])
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_form_is_taken_whatever_its_file_is_called(server, root, format):
    data = image(format=format)
    reply = send(server, *form(data, "upload"), root + "/media/upload/binary")
    found = reply.json()["data"]
    assert (reply.status, found["type"], found["size"]) == (200, "image", len(data))
    assert found["filename"]
    answer = server.file(found["download_url"])
    assert (answer.body, answer.headers["content-type"]) == (data, f"image/{format}")


@pytest.mark.parametrize(
    "tail",
    [b"", b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n--", b"--", b"\r\n--x\r\n\r\n", b"\0\x0c\x1c"],
)
def test_bytes_of_a_form_are_kept(server, tail):
    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + tail
    reply = send(server, *form(data, mime="image/png"))
    assert server.file(reply.json()["data"]["download_url"]).body == data


@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_of_a_form_are_kept(data):
    store = Store()
    body, kind = form(data, mime="application/octet-stream")
    call = Call("POST", FORMS, body, {"content-type": kind})
    uploads.UploadStore(store).take(server_at(FORMS).read(call), ANNA, BASE)
    assert store.kept == [data]


@pytest.mark.parametrize("name", ["../../x.png", "é.png", 'a"b.png', "x" * 3000])
def test_name_in_a_form_is_not_used(server, name):
    reply = send(server, *form(name=name))
    assert reply.status == 200
    assert os.path.basename(name) not in reply.json()["data"]["download_url"]  # noqa: PTH119


def test_other_fields_of_a_form_are_passed_over(server):
    request = requests.Request(
        "POST", BASE, data={"purpose": "x"}, files={"file": ("a.png", PNG, "image/png")}
    ).prepare()
    reply = send(server, request.body, request.headers["Content-Type"])
    assert server.file(reply.json()["data"]["download_url"]).body == PNG


BODY, KIND = form()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", KIND, id="nothing"),
        (BODY, ""),
        (BODY, "multipart/form-data"),
        (BODY, "multipart/form-data; boundary="),
        (BODY, "multipart/form-data; boundary=other"),
        (BODY, "multipart/form-data; boundary=\xff\u20ac"),
        (BODY, "application/json"),
        (BODY, "message/rfc822"),
        (b"--x\r\n\r\nno name\r\n--x--", "multipart/form-data; boundary=x"),
        (
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Disposition: form-data; "
            b'filename="a"\r\n\r\n--y\r\n\r\nz\r\n--y--\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; filename="a"\r\nContent-Type: message/rfc822'
            b"\r\n\r\nSubject: z\r\n\r\nz\r\n--x--",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_broken_form_is_refused(server, body, kind):
    status, code, message = refusal(send(server, body, kind))
    assert (status, code) == (400, 400)
    assert "file" in message
    assert server.files.size() == 0


@given(
    head=st.text(max_size=40),
    disposition=st.binary(max_size=40),
    more=st.binary(max_size=60),
    kind=st.sampled_from(["multipart/form-data; boundary=x", "multipart/mixed; boundary=x;"]),
)
def test_no_form_is_an_unexpected_error(head, disposition, more, kind):
    body = b"--x\r\nContent-Disposition: form-data;" + disposition + b"\r\n" + more + b"\r\n--x--"
    for given_kind in (kind, kind + head):
        call = Call("POST", FORMS, body, {"content-type": given_kind})
        try:
            assert isinstance(server_at(FORMS).read(call), PostUpload)
        except InvalidInputError:
            continue


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        "http://elsewhere.test/files/{name}",
        BASE + "/files/../files/{name}",
        BASE + "/uploads/{name}",
        BASE + "/files/",
        BASE + "/files/../keys.json",
        "HTTP://127.0.0.1/files/{name}",
        "file:///etc/passwd",
    ],
)
def test_only_own_addresses_are_files(server, address):
    url, right = promise(server)
    put(server, url)
    wrong = address.format(name=right.rpartition("/")[2])
    status, _, message = refusal(server.post(WAVESPEED, wavespeed() | {"image": wrong}))
    assert status == 400
    assert "fetches no addresses" in message
