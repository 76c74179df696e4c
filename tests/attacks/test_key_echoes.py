"""A key that a service says back, in whatever form, is shown nowhere."""

import base64
import copy
import dataclasses
import html
import http.client
import json
import logging
import pickle
import random
import re
import traceback
import urllib.parse

import pytest

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.raw_server import RawServer, answered, say
from tests.remote.conftest import ends, remote, vendor  # noqa: F401 (fixtures)
from tests.remote.host import ALL, KEY, PROFILES, Watch, wait_until
from upscale_bridge import cli
from upscale_bridge.contract.http import Call, Reply
from upscale_bridge.contract.server import ServedTask
from upscale_bridge.contract.tasks import Failed, Status
from upscale_bridge.contract.wire import TaskWire
from upscale_bridge.errors import BadReplyError, TransportError, UpscaleError
from upscale_bridge.network.transport import Transport
from upscale_bridge.storage.keys import Secret
from upscale_bridge.storage.redaction import Redactor
from upscale_bridge.vendors import OPERATIONS, server_for

ODD = "sk/a+B\"c\\D&e<F>%g=h'i-0123456789"
PLAIN = "kQ7wLm2xTz9vRb4nYc6pJd8s"
WIRES = [kind.wire for kind in OPERATIONS]


def percent(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


def in_json(text):
    return json.dumps(text)[1:-1].replace("/", "\\/")


def hexadecimal(text, between=""):
    return between.join(f"{byte:02x}" for byte in text.encode())


def b64(text):
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "plain": lambda k: k,
    "scheme": lambda k: f"bEARER {k}",
    "upper case": str.upper,
    "lower case": str.lower,
    "json": in_json,
    "json in json": lambda k: in_json(in_json(k)),
    "json in json in json": lambda k: in_json(in_json(in_json(k))),
    "\\u escapes": lambda k: "".join(f"\\u{ord(c):04x}" for c in k),
    "\\u escapes in capitals": lambda k: "".join(f"\\u{ord(c):04X}" for c in k),
    "some \\u escapes": lambda k: "".join(
        f"\\u{ord(c):04x}" if i % 3 else c for i, c in enumerate(k)
    ),
    "\\u{} escapes": lambda k: "".join(f"\\u{{{ord(c):x}}}" for c in k),
    "\\x escapes": lambda k: "".join(f"\\x{ord(c):02x}" for c in k),
    "octal escapes": lambda k: "".join(f"\\{ord(c):03o}" for c in k),
    "repr": lambda k: repr(k.encode()),
    "percent": percent,
    "percent in small letters": lambda k: percent(k).lower(),
    "percent where needed": lambda k: urllib.parse.quote(k, safe=""),
    "percent twice": lambda k: percent(percent(k)),
    "percent of some": lambda k: "".join(percent(c) if i % 2 else c for i, c in enumerate(k)),
    "%u": lambda k: "".join(f"%u{ord(c):04x}" for c in k),
    "form": urllib.parse.quote_plus,
    "html": html.escape,
    "html twice": lambda k: html.escape(html.escape(k)),
    "html numbers": lambda k: "".join(f"&#{ord(c)};" for c in k),
    "html numbers in hex": lambda k: "".join(f"&#x{ord(c):X};" for c in k),
    "html numbers without ends": lambda k: " ".join(f"&#{ord(c)}" for c in k).replace(" ", ""),
    "html of json": lambda k: html.escape(in_json(k)),
    "json of percent": lambda k: in_json(percent(k)),
    "percent of html": lambda k: percent(html.escape(k)),
    "mail": lambda k: "".join(f"={ord(c):02X}" for c in k),
    "base64": b64,
    "base64 of the header's value": lambda k: b64(f"Bearer {k}"),
    "base64 of the header": lambda k: b64(f"Authorization: Bearer {k}\r\nHost: a\r\n"),
    "base64 after one more": lambda k: b64(f"x{k}yz"),
    "base64 after two more": lambda k: b64(f"xx{k}y"),
    "base64 of a user": lambda k: "Basic " + b64(f"{k}:"),
    "base64 for addresses": lambda k: base64.urlsafe_b64encode(f"Bearer {k}".encode()).decode(),
    "base64 in lines": lambda k: base64.encodebytes(
        f"Authorization: Bearer {k}\n".encode() * 3
    ).decode(),
    "base64 in percent": lambda k: urllib.parse.quote(b64(f"Bearer {k}"), safe=""),
    "base64 in json": lambda k: in_json(b64(f"Bearer {k}")),
    "hex": hexadecimal,
    "hex in capitals": lambda k: hexadecimal(k).upper(),
    "hex with spaces": lambda k: hexadecimal(k, " "),
    "hex with colons": lambda k: hexadecimal(k, ":"),
    "hex with 0x": lambda k: "0x" + hexadecimal(k, ", 0x"),
    "lines": lambda k: f"{k[:9]}\n{k[9:]}",
    "lines with margins": lambda k: f"{k[:9]}\r\n    {k[9:]}",
    "lines of mail": lambda k: f"{k[:9]}=\n{k[9:]}",
    "lines in json": lambda k: in_json(f"{k[:9]}\n{k[9:]}"),
    "nothing between": lambda k: "\u200b".join(k),
    "soft hyphens": lambda k: "\u00ad".join(k),
    "wide letters": lambda k: "".join(chr(ord(c) + 0xFEE0) for c in k),
}


def unescaped(text):
    """Return everything that a reader may take a text for."""
    found = {text}
    for _ in range(4):
        for one in list(found):
            found |= {html.unescape(one), urllib.parse.unquote(one)}
            found.add(re.sub(r"\\+u00(..)", lambda m: chr(int(m[1], 16)), one))
    return found


@pytest.mark.parametrize("key", [ODD, PLAIN, KEY])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_hidden(form, key):
    echo = form(key)
    for text in (echo, f"Wrong key {echo}, see https://a.example/?a=b&c=%41", f"{echo} {echo}"):
        shown = Redactor(key).hide(text)
        assert echo not in shown
        assert key.lower() not in shown.lower()
        assert "***" in shown
        assert not any(key in one for one in unescaped(shown))
        assert Redactor(key).hide_all({"a": [{"b": text}], text: 1}) == {
            "a": [{"b": shown}],
            shown: 1,
        }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "TASK_STATUS_SUCCEED",
        "https://a.example/b%2Fc%3D~+%20d?X-Amz-Signature=a%3D&b=%252F&#x2F;",
        "C:\\new\\table\\u0041",
        "a = b, c=41 & d &amp; e",
        "Füße, 日本語, emoji 👍🏽, A\u200bB",
        "one\r\ntwo",
        "50 % of 100%",
        b64("x" * 5000),
    ],
)
def test_other_texts_are_left_as_they_are(text):
    assert Redactor(ODD).hide(text) == text
    assert Redactor(PLAIN).hide_all([text, 7, 1.5, None, True]) == [text, 7, 1.5, None, True]


def test_images_are_left_as_they_are_whatever_the_key_is():
    """The key of a server of one's own may be anything, and a picture has long runs of zeros."""
    key = "AAAAAAAA"
    png = b64("\u0000" * 9).join(["iVBORw0KGgo", "A" * 3000])
    for image in (png, f"data:image/png;base64,{png}", png[:200]):
        assert Redactor(key).hide_all({"image": image, "error": f"bad {key}"}) == {
            "image": image,
            "error": "bad ***",
        }


def test_dump_of_the_request_is_no_image():
    dump = hexadecimal(f"POST / HTTP/1.1\r\nAuthorization: Bearer {PLAIN}\r\n\r\n" + "x" * 2000)
    assert hexadecimal(PLAIN) not in Redactor(PLAIN).hide(dump)
    dump = b64(f"POST / HTTP/1.1\r\nAuthorization: Bearer {PLAIN}\r\n\r\n" + "x" * 2000)
    assert b64(PLAIN)[:20] not in Redactor(PLAIN).hide(dump)


def test_key_of_digits_is_hidden_as_a_number_too():
    assert Redactor("12345678901").hide_all({"a": 12345678901, "b": 12}) == {"a": "***", "b": 12}


def test_long_and_deep_texts_cost_little():
    echoes = Redactor(PLAIN)
    for text in ("\\" * 100_000, "%25" * 50_000, "&amp;" * 30_000, " " * 200_000, "a " * 200_000):
        assert len(echoes.hide(text)) <= 100_000
    assert echoes.hide("%25" * 20 + "41") in ("***", "%25" * 20 + "41")
    deep = b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"
    try:
        Reply(200, deep, hide=echoes.hide_all).json()
    except BadReplyError as error:
        assert "not JSON" in str(error) or "object" in str(error)


# --- what a service can do with it


def line_to(url):
    return Transport(url, "Authorization", "Bearer ", Secret(PLAIN))


OPTIONS = {"stop": lambda: None, "limit": 1 << 20, "read_seconds": 60.0}


def test_key_split_over_chunks_is_hidden():
    chunks = "".join(f"1\r\n{c}\r\n" for c in json.dumps({"message": f"no {PLAIN}"}))
    text = f"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    with RawServer(say(text)) as server:
        reply = line_to(server.url).send(Call("GET", "/a"), **OPTIONS)
    assert reply.json() == {"message": "no ***"}


@pytest.mark.parametrize("form", ["plain", "percent", "base64", "hex"])
def test_headers_hold_no_key(form):
    echo = FORMS[form](PLAIN)
    with RawServer(answered(b"{}", X_Echo=echo, **{echo[:30].replace("%", "_"): "1"})) as server:
        reply = line_to(server.url).send(Call("GET", "/a"), **OPTIONS)
    assert reply.headers["x-echo"] == "***"


@pytest.mark.parametrize("form", ["plain", "percent", "base64 for addresses", "hex", "lower case"])
def test_address_that_holds_the_key_is_not_used(form, tmp_path):
    echo = FORMS[form](PLAIN)
    with FakeService() as service:
        url = f"{service.base_url}/files/{echo}.png"
        line = line_to(service.base_url)
        service.faults["health"].extend([faults.redirect(url)] * 2)
        for action in (
            lambda: line.fetch(url, tmp_path / "a", progress=print, **OPTIONS),
            lambda: line.fetch(
                f"{service.base_url}/healthz", tmp_path / "a", progress=print, **OPTIONS
            ),
            lambda: line.send(Call("PUT", url, b"a"), **OPTIONS),
        ):
            with pytest.raises(BadReplyError, match="holds the key") as caught:
                action()
            assert echo not in str(caught.value)
        assert not any(echo in request.path for request in service.requests)


@pytest.mark.parametrize("host", ["{}.example", "a.{}", "{}"])
def test_hosts_that_a_service_names_do_not_show_the_key(host, tmp_path):
    """Neither as it is nor in small letters, as hosts are written."""
    url = f"http://{host.format(PLAIN)}/a"
    with FakeService() as service:
        service.faults["download"].append(faults.redirect(url))
        line = line_to(service.base_url)
        for place in (url, f"{service.base_url}/files/a.png"):
            with pytest.raises((BadReplyError, TransportError)) as caught:
                line.fetch(place, tmp_path / "a", progress=print, **OPTIONS)
            assert PLAIN.lower() not in "".join(traceback.format_exception(caught.value)).lower()


REASONS = (
    "plain",
    "json in json",
    "percent",
    "html numbers",
    "base64 of the header",
    "hex",
    "lines",
)


@pytest.mark.parametrize("command", ALL)
def test_nothing_that_leaves_holds_the_key(vendor, command, capsys, caplog):  # noqa: F811
    """Errors, their causes, the journal, notices, logs and the list of tasks."""
    caplog.set_level(logging.DEBUG)
    echoes = [FORMS[name](KEY) for name in REASONS]
    texts = []
    for attempt, echo in enumerate(echoes, 1):
        body = {"code": 400, "reason": echo, **PROFILES[command].saying(echo)}
        fault = faults.answer(400 if attempt % 2 else 500, body, {"X-Request-Id": "a"})
        vendor.fake.faults["submit"].append(fault)
        vendor.fake.faults["ticket"].append(fault)
        watch = Watch()
        with pytest.raises(UpscaleError) as caught:
            vendor.run(command, monitor=watch, attempt=attempt)
        texts += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
        texts += [*watch.notices, *watch.lines]
        vendor.fake.faults["ticket"].clear()
        vendor.fake.faults["submit"].clear()
    for arguments in (["tasks"], ["tasks", "list", "--json"]):
        cli.main(arguments)
    texts += [*capsys.readouterr(), caplog.text, str(vendor.rows)]
    shown = "\n".join(texts)
    assert KEY.lower() not in shown.lower()
    assert not any(echo in shown or echo.lower() in shown.lower() for echo in echoes)
    assert "***" in shown


@pytest.mark.parametrize("command", ["novita", "wavespeed"])
def test_ticket_and_reason_of_a_task_hold_no_key(vendor, command):  # noqa: F811
    kind = next(kind for kind in OPERATIONS if kind.command == command)
    wire = server_for(kind.__name__)
    body = json.loads(wire.write_submit(ServedTask(f"a-{KEY}", {}, "")).body)
    vendor.fake.faults["submit"].append(faults.answer(200, body))
    failed = json.loads(
        wire.write_status(ServedTask("a", {}, ""), Failed(f"because {percent(KEY)}")).body
    )
    vendor.fake.faults["poll"].append(faults.answer(200, failed))
    with pytest.raises(UpscaleError) as caught:
        vendor.run(command)
    wait_until(lambda: vendor.rows[0].state == "failed")
    assert KEY not in str(vendor.rows) + str(caught.value)
    assert percent(KEY) not in str(vendor.rows) + str(caught.value)
    assert vendor.rows[0].ticket == "a-***"


# --- dumps


def test_dumps_of_our_objects_show_nothing():
    secret, line = Secret(PLAIN), line_to("https://a.example")
    call = Call("POST", "https://a.example/?sig=hush", b"hush", {"Authorization": "hush"})
    reply = Reply(200, b"hush", {"x": "hush"}, secret.redactor.hide_all)
    shown = repr([secret, secret.redactor, line, vars(line), call, reply, secret.header("Bearer ")])
    assert PLAIN not in shown
    assert "hush" not in shown
    assert PLAIN not in repr({"Authorization": secret.header("Bearer ")})
    for thing in (secret, secret.redactor, secret.header("Bearer "), line, reply):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(thing)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert dataclasses.replace(reply, status=201).status == 201


def locals_of(error):
    """Return what a report with local variables shows."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(report.format())


@pytest.mark.parametrize("once", [False, True])
def test_reports_with_local_variables_show_no_key(tmp_path, once):
    def interrupted():
        raise KeyboardInterrupt

    with RawServer(say("garbage")) as server:
        for url, stop in (
            (server.url, lambda: None),
            ("http://127.0.0.1:1", lambda: None),
            (server.url, interrupted),
        ):
            options = {**OPTIONS, "stop": stop, "once": once}
            with pytest.raises((TransportError, KeyboardInterrupt)) as caught:
                line_to(url).send(Call("POST", "/a?sig=hushhush", b"x"), **options)
            error = caught.value
            while error is not None:
                assert PLAIN not in locals_of(error)
                assert PLAIN not in repr(vars(error))
                error = error.__context__


def test_loudest_logging_shows_no_key(monkeypatch, capsys, caplog):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 2)
    caplog.set_level(logging.DEBUG)
    with RawServer(answered(b"{}")) as server:
        line_to(server.url).send(Call("POST", "/a?sig=hushhush", b"{}"), once=True, **OPTIONS)
        assert f"Bearer {PLAIN}" in server.heads[0]
    shown = caplog.text + "".join(capsys.readouterr())
    assert PLAIN not in shown
    assert "hushhush" not in shown


def test_headers_that_are_none_are_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    text = f"HTTP/1.1 200 OK\r\nA: b\r\nno header {PLAIN}\r\nContent-Length: 2\r\n\r\n{{}}"
    with RawServer(say(text)) as server:
        line_to(server.url).send(Call("GET", "/a"), **OPTIONS)
    assert PLAIN not in caplog.text


# --- any answer at all


def hostile(chance, depth=0):
    """Return a JSON value that no document describes."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return chance.choice([None, True, False, 0, -1, 200, 1e308, 10**30, 0.5, 5004])
    if kind <= 4:
        return chance.choice(WORDS)
    if kind == 5:
        return chance.choice(list(FORMS.values()))(PLAIN)
    if kind == 6:
        return [hostile(chance, depth + 1) for _ in range(chance.randrange(3))]
    names = chance.sample(NAMES.split(), chance.randrange(6))
    return {name: hostile(chance, depth + 1) for name in names}


NAMES = """
code msg message data task task_id id status reason error images image_url outputs urls get url
download_url upload headers method body status_code progress progress_percent eta imgs
has_nsfw_contents timings extra failed_reason
"""
WORDS = [
    "",
    "completed",
    "failed",
    "processing",
    "TASK_STATUS_SUCCEED",
    "TASK_STATUS_FAILED",
    "https://a.example/b.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "iVBORw0KGgo=",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "NaN",
    "200",
]


def reads(wire):
    return (wire.read_submit, wire.read_poll) if isinstance(wire, TaskWire) else (wire.read_submit,)


def test_wires_read_any_answer_and_never_show_the_key():
    chance, echoes = random.Random(11), Redactor(PLAIN)
    secret = re.compile(re.escape(PLAIN), re.IGNORECASE)
    for _ in range(2000):
        body = json.dumps(hostile(chance)).encode()
        if chance.random() < 0.05:
            body = body[: chance.randrange(len(body) + 1)]
        status = chance.choice([200, 200, 200, 201, 302, 400, 401, 404, 429, 500])
        reply = Reply(status, body, {}, echoes.hide_all)
        for wire in WIRES:
            for read in reads(wire):
                try:
                    found = read(reply)
                except UpscaleError as error:
                    found = error
                assert isinstance(found, UpscaleError | Status) or found.id
                assert secret.search(f"{found} {found!r} {vars(found)}") is None
