"""The page's way to set keys: it may write, never read.

The server's package need not be installed: a thin stand-in takes the place of its answers.
"""

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest

from upscale_bridge.vendors import VENDORS

KEY = "sk-planted-in-the-file-AAAA1111"
OTHER = "sk-planted-elsewhere-BBBB2222"
NAMES = [vendor.name for vendor in VENDORS]


class Body:
    """A request's body, which may come in pieces as from a real connection."""

    def __init__(self, *parts):
        self.parts = parts

    async def iter_chunked(self, count):
        for part in self.parts:
            for at in range(0, len(part), count):
                yield part[at : at + count]


@pytest.fixture
def routes(part, web, monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(f"{name.upper()}_API_KEY", raising=False)
    return part("nodes.key_routes")


@pytest.fixture
def ask(part, routes):
    """Send a request as ComfyUI's page on this machine does, unless told otherwise.

    Returns the status and the answer's data.
    """

    def send(
        data=None,
        *,
        kind="application/json",
        host="127.0.0.1:8188",
        remote="127.0.0.1",
        scheme="http",
        **headers,
    ):
        parts = data if isinstance(data, tuple) else (data,)
        raw = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
        headers = {"Host": host, **headers}
        if data is not None:
            headers["Content-Type"] = kind
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        length = sum(map(len, raw))
        method = "GET" if data is None else "POST"
        request = SimpleNamespace(
            method=method,
            scheme=scheme,
            headers={name: value for name, value in headers.items() if value is not None},
            host=host,
            remote=remote,
            content=Body(*raw),
            content_length=length,
            body_exists=True,
            can_read_body=True,
        )
        handler = part("nodes.routes").ROUTES[method, "/upscale_bridge/keys"]
        answer = asyncio.run(handler(request))
        assert answer.headers["Cache-Control"] == "no-store"
        assert KEY not in answer.body
        assert OTHER not in answer.body
        return answer.status, json.loads(answer.body)

    return send


@pytest.fixture
def keys(part, comfy):
    return part("nodes.host").keys()


def row(found, name="novita"):
    return next(row for row in found["keys"] if row["name"] == name)


ADDRESSES = {
    *(("get", path) for path in ("keys", "models", "tasks")),
    *(("get", f"tasks/{{request}}/{file}") for file in ("thumbnail", "result")),
    *(("post", path) for path in ("keys", "keys/test", "advice", "model", "price")),
    *(("post", f"models/{verb}") for verb in ("download", "cancel")),
    *(("post", f"tasks/{verb}") for verb in ("resume", "forget", "attach")),
}


def test_routes_are_added_to_the_server(part, routes, monkeypatch):
    added = {}
    table = SimpleNamespace(
        **{
            method: lambda path, method=method: (
                lambda handler: added.update({(method, path): handler})
            )
            for method in ("get", "post")
        }
    )
    server = SimpleNamespace(instance=SimpleNamespace(routes=table))
    monkeypatch.setattr(sys.modules["server"], "PromptServer", server)
    part("nodes.routes").register()
    assert set(added) == {(method, f"/upscale_bridge/{path}") for method, path in ADDRESSES}


def test_without_a_server_nothing_is_added(part, routes, monkeypatch):
    monkeypatch.setattr(sys.modules["server"], "PromptServer", SimpleNamespace())
    part("nodes.routes").register()
    monkeypatch.setitem(sys.modules, "server", None)
    part("nodes.routes").register()


def test_nothing_is_set_at_first(ask):
    status, found = ask()
    assert status == 200
    assert [row["name"] for row in found["keys"]] == NAMES
    for row in found["keys"]:
        assert row["variable"] == f"{row['name'].upper()}_API_KEY"
        assert row["page"].startswith("https://")
        assert (row["origin"], row["hint"]) == (None, None)


def test_key_is_kept_and_never_told(ask, keys, comfy):
    status, found = ask({"name": "novita", "key": f" {KEY}\n"})
    assert status == 200
    assert (row(found)["origin"], row(found)["hint"]) == ("file", "..1111")
    assert row(found, "photio")["origin"] is None
    assert ask() == (200, found)
    assert keys.find("novita").secret.reveal() == KEY
    assert keys.path == comfy.user / "__upscale_bridge" / "keys.json"


def test_key_is_replaced_and_removed(ask, keys):
    ask({"name": "novita", "key": OTHER})
    _, found = ask({"name": "novita", "key": KEY})
    assert row(found)["hint"] == "..1111"
    status, found = ask({"name": "novita", "key": " "})
    assert status == 200
    assert row(found)["origin"] is None
    assert keys.find("novita") is None
    assert ask({"name": "novita", "key": ""})[0] == 200, "removing twice does no harm"


def test_key_of_the_environment_wins(ask, monkeypatch):
    ask({"name": "novita", "key": KEY})
    monkeypatch.setenv("NOVITA_API_KEY", OTHER)
    _, found = ask()
    assert (row(found)["origin"], row(found)["hint"]) == ("environment", "..2222")
    _, found = ask({"name": "novita", "key": ""})
    assert row(found)["origin"] == "environment"


@pytest.mark.parametrize(
    "key", ["short", "with a space in it", "sk-ключ-0123456789", "sk-\x00" * 4]
)
def test_what_cannot_be_a_key_is_refused(ask, keys, key):
    status, found = ask({"name": "novita", "key": key})
    assert status == 400
    assert "A key is" in found["error"]
    assert key not in found["error"]
    assert keys.find("novita") is None


def test_unreadable_file_is_told(ask, keys):
    keys.path.parent.mkdir(parents=True)
    keys.path.write_text(f'{{"novita": "{KEY}"', encoding="utf-8")
    for data in (None, {"name": "novita", "key": KEY}):
        status, found = ask(data)
        assert status == 400
        assert "must hold JSON" in found["error"]


@pytest.mark.parametrize(
    "data",
    [
        {"name": "other", "key": KEY},
        {"name": "", "key": KEY},
        {"name": "../novita", "key": KEY},
        {"name": None, "key": KEY},
        {"name": ["novita"], "key": KEY},
        {"name": {"novita": 1}, "key": KEY},
        {"name": "novita", "key": None},
        {"name": "novita", "key": 12345678},
        {"name": "novita", "key": [KEY]},
        {"name": "novita"},
        {"key": KEY},
        {},
        [],
        [KEY],
        "novita",
        7,
        b"",
        b"{",
        b"\xff\xfe",
        f"name=novita&key={KEY}".encode(),
        b"[" * 4000,
    ],
)
def test_bad_bodies_are_refused(ask, keys, data):
    status, found = ask(data)
    assert status == 400
    assert found["error"]
    assert all(keys.find(name) is None for name in NAMES)


@pytest.mark.parametrize("pad", [16_384, 1 << 20])
def test_large_bodies_are_refused(ask, keys, pad):
    status, _ = ask({"name": "novita", "key": "k" * pad})
    assert status in (400, 413)
    assert keys.find("novita") is None


def test_body_may_come_in_pieces(ask, keys):
    """A connection delivers what has arrived, not what was sent."""
    raw = json.dumps({"name": "novita", "key": KEY}).encode()
    status, _ = ask((raw[:10], raw[10:25], raw[25:]))
    assert status == 200
    assert keys.find("novita").secret.reveal() == KEY


REFUSED = {  # one of each rule; tests/attacks/test_cross_site.py has all that are none of ours
    "form": {"kind": "application/x-www-form-urlencoded"},
    "text": {"kind": "text/plain"},
    "other site": {"Origin": "https://evil.example"},
    "name that leads here": {"host": "evil.example", "Origin": "http://evil.example"},
    "other machine": {"remote": "192.168.1.7"},
    "unknown machine": {"remote": None},
    "proxy on this machine": {"X-Real-Ip": "192.168.1.7"},
    "other site, as the browser says": {"Sec-Fetch-Site": "same-site"},
    "link from another site": {"Referer": "https://evil.example/"},
    "other encryption": {"scheme": "https", "Origin": "http://127.0.0.1:8188"},
    "other alphabet": {"kind": "application/json; charset=utf-16"},
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_only_the_own_page_on_this_machine_may_write(ask, keys, case):
    status, found = ask({"name": "novita", "key": KEY}, **case)
    assert status == 403
    assert found["error"]
    assert keys.find("novita") is None


def test_headers_that_stand_twice_are_refused(routes, part, keys):
    class Repeated(dict):
        def items(self):
            return [*super().items(), ("origin", "https://evil.example")]

    kind = {"Host": "127.0.0.1:8188", "Content-Type": "application/json"}
    request = SimpleNamespace(
        method="POST",
        scheme="http",
        headers=Repeated({**kind, "Origin": "http://127.0.0.1:8188"}),
        remote="127.0.0.1",
        content=Body(json.dumps({"name": "novita", "key": KEY}).encode()),
    )
    handler = part("nodes.routes").ROUTES["POST", "/upscale_bridge/keys"]
    assert asyncio.run(handler(request)).status == 403
    assert keys.find("novita") is None


@pytest.mark.parametrize(
    "case",
    [
        {"X-Forwarded-For": "192.168.1.7"},
        {"CF-Ray": "1"},
        {"remote": "192.168.1.7"},
        {"Referer": "http://192.168.1.5:8080/"},
        {"Origin": "https://evil.example"},
    ],
)
def test_ends_of_keys_are_shown_to_this_machine_only(ask, case):
    ask({"name": "novita", "key": KEY})
    status, found = ask(**case)
    assert KEY[-4:] not in json.dumps(found)
    assert status == (403 if set(case) & {"Origin", "Referer"} else 200)


ALLOWED = {
    "page": {"Origin": "http://127.0.0.1:8188"},
    "name": {"host": "localhost:8188", "Origin": "http://localhost:8188"},
    "version 6": {"host": "[::1]:8188", "remote": "::1", "Origin": "http://[::1]:8188"},
    "encrypted": {"host": "localhost", "Origin": "https://localhost"},
    "script": {},
}


@pytest.mark.parametrize("case", ALLOWED.values(), ids=ALLOWED)
def test_own_page_may_write(ask, keys, case):
    assert ask({"name": "novita", "key": KEY}, **case)[0] == 200
    assert keys.find("novita").secret.reveal() == KEY


ELSEWHERE = {"host": "192.168.1.5:8188", "remote": "192.168.1.7"}


def test_other_machines_may_write_once_the_user_agreed(ask, keys, own_home):
    settings = own_home / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text('{"keys_over_network": true}')
    status, found = ask({"name": "novita", "key": KEY}, **ELSEWHERE)
    assert status == 200
    assert row(found)["hint"] is None, "not even a key's end goes there"
    assert keys.find("novita").secret.reveal() == KEY
    assert ask({"name": "novita", "key": OTHER}, **ELSEWHERE, Origin="http://a.example")[0] == 403
    assert ask({"name": "novita", "key": OTHER}, **ELSEWHERE, kind="text/plain")[0] == 403
    assert keys.find("novita").secret.reveal() == KEY
