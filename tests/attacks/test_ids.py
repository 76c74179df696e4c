"""Answers to the paid call that are odd, broken or errors, and name a task all the same.

The id is what was paid for: it is in the journal before anything else happens, and brings the
result; nothing is submitted twice.
"""

import json

import pytest
import torch

from tests.fakes import faults
from tests.fakes.answers import Answer
from tests.fakes.faults import Fault
from tests.remote.host import POLLED, enlarged, named, picture, rows
from upscale_bridge.contract.reading import as_id, read_output, spot_id
from upscale_bridge.errors import AmbiguousSubmitError, TaskError, TaskLostError
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.storage.settings import home

SYNC = {"enable_sync_mode": True}


def changed(name, change, status=None, kind=None):
    """Accept the submit, and change the answer's bytes."""

    def act(x):
        found = x.behave()
        headers = {**found.headers, **({"Content-Type": kind} if kind else {})}
        x.send(Answer(status or found.status, change(found.body), headers))

    return Fault(name, act)


def with_data(**values):
    """Return a change that sets fields of WaveSpeed's `data`."""

    def change(body):
        answer = json.loads(body)
        answer["data"].update(values)
        return json.dumps(answer).encode()

    return change


def with_fields(**values):
    return lambda body: json.dumps({**json.loads(body), **values}).encode()


def twice(body):
    """Let every name stand twice, first with nonsense."""
    text = body.decode()
    for name in ("task_id", "id", "status", "data", "code"):
        text = text.replace(f'"{name}":', f'"{name}":"nonsense","{name}":')
    return text.encode()


GOOD = {  # answers that are wrong about other things, with a good status
    "garbage after": lambda body: body + b"\n<!-- cached by proxy -->",
    "another object after": lambda body: body + b'{"x": 1}',
    "garbage before": lambda body: b")]}',\n" + body,
    "BOM": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "zeros after": lambda body: body + b"\0\0",
    "names twice": twice,
    "cut off at the end": lambda body: body.rstrip()[:-1],
    "in a list": lambda body: b"[" + body + b"]",
    "in a text": lambda body: b"ok " + body,
    "no UTF-8": lambda body: body[:-1] + b', "message": "\xff\xfe"}',
    "NaN": lambda body: body[:-1] + b', "eta": NaN}',
    "code is a text": with_fields(code="fine"),
    "code is null": with_fields(code=None),
    "code is a list": with_fields(code=[]),
    "code is zero": with_fields(code=0),
}


def in_turn(names):
    """Return (command, name) pairs: each name once, the commands in turn."""
    return [(POLLED[number % len(POLLED)], name) for number, name in enumerate(names)]


@pytest.mark.parametrize(("command", "name"), in_turn(GOOD))
def test_id_of_an_odd_answer_is_followed(vendor, command, name):
    vendor.fake.faults["submit"].append(changed(name, GOOD[name]))
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert vendor.rows[0].ticket == vendor.fake.tasks[0].id
    assert len(vendor.fake.tasks) == vendor.submits() == 1


@pytest.mark.parametrize(("kind", "status"), [("text/html", 200), ("image/png", 201), ("x", 202)])
def test_type_and_good_status_do_not_matter(vendor, kind, status):
    for command in POLLED:
        vendor.fake.faults["submit"].append(changed(kind, bytes, status, kind))
        assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == len(POLLED)


UNREADABLE = {  # WaveSpeed says that it is completed, in the answer to the submit itself
    "garbage": {"outputs": ["!!! this is no base64 !!!"]},
    "almost base64": {"outputs": ["iVBORw0KGgo"]},
    "not a picture": {"outputs": ["VGhpcyBpcyBubyBwaWN0dXJl"]},
    "half a picture": {"outputs": ["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"]},
    "null": {"outputs": None},
    "empty": {"outputs": []},
    "empty text": {"outputs": [""]},
    "a null in it": {"outputs": [None]},
    "number": {"outputs": [7]},
    "empty object": {"outputs": [{}]},
    "odd object": {"outputs": [{"uri": "somewhere"}]},
    "object of null": {"outputs": [{"url": None}]},
    "object of number": {"outputs": [{"url": 5}]},
    "lists": {"outputs": [["https://a.example/x.png"]]},
    "text": {"outputs": "https://a.example/x.png"},
    "object": {"outputs": {"0": "x"}},
    "flags are odd": {"outputs": [], "has_nsfw_contents": "no"},
    "word is odd": {"status": "Ready", "outputs": []},
    "word is null": {"status": None, "outputs": None},
    "word is a number": {"status": 3},
    "word is a list": {"status": ["completed"]},
    "data code is odd": {"code": "fine", "outputs": []},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_id_of_a_completed_answer_that_cannot_be_read_is_followed(vendor, name):
    values = {"status": "completed", **UNREADABLE[name]}
    vendor.fake.faults["submit"].append(changed(name, with_data(**values)))
    found = vendor.run("wavespeed", **SYNC)
    assert torch.equal(found.images, enlarged("wavespeed", picture()))
    assert vendor.rows[0].ticket == vendor.fake.tasks[0].id
    assert len(vendor.fake.tasks) == vendor.submits() == 1


@pytest.mark.parametrize("name", ["garbage", "null", "odd object"])
def test_polls_that_cannot_be_read_are_asked_again(vendor, name):
    values = {"status": "completed", **UNREADABLE[name]}
    vendor.fake.faults["poll"].extend([changed(name, with_data(**values))] * 3)
    assert torch.equal(vendor.run("wavespeed").images, enlarged("wavespeed", picture()))
    assert len(vendor.fake.tasks) == 1


ERRORS = (400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504)


@pytest.mark.parametrize(("command", "status"), in_turn(ERRORS))
def test_id_of_an_error_is_kept_and_brings_the_result(vendor, command, status):
    """The gateway failed, the service did not; nobody can know."""
    vendor.fake.faults["submit"].append(changed("error", bytes, status))
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run(command)
    ticket = vendor.fake.tasks[0].id
    assert ticket in str(caught.value)
    assert caught.value.ticket == ticket
    row = vendor.rows[0]
    assert (row.state, row.ticket) == ("ambiguous", ticket)
    found = vendor.host.resume(ResumeTask(task_id=named(caught.value)))
    assert torch.equal(found.images, enlarged(command, picture()))
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == vendor.submits() == 1


@pytest.mark.parametrize("command", ["novita", "wavespeed"])
def test_running_again_looks_for_the_id_of_an_error(vendor, command):
    vendor.fake.faults["submit"].append(changed("error", bytes, 500))
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(command)
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == vendor.submits() == 1


@pytest.mark.parametrize("code", [-1, 400, "500"])
def test_id_beside_an_error_inside_a_good_answer_is_kept(vendor, code):
    for command in ("novita-v2", "wavespeed"):
        vendor.fake.faults["submit"].append(changed("code", with_fields(code=code)))
        with pytest.raises(AmbiguousSubmitError):
            vendor.run(command)
        assert vendor.rows[-1].ticket == vendor.fake.tasks[-1].id
        assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == 2


def test_id_of_an_error_that_the_service_does_not_know_stays_in_doubt(vendor):
    """It was the id of the request, perhaps: nothing is submitted before the user says so."""
    answer = {"code": 500, "message": "internal", "data": {"id": "of-the-request"}}
    vendor.fake.faults["submit"].append(faults.answer(500, answer))
    with pytest.raises(AmbiguousSubmitError, match="of-the-request") as caught:
        vendor.run("wavespeed")
    for _ in range(2):
        with pytest.raises(TaskLostError, match=r"internal.* does not know task of-the-request"):
            vendor.run("wavespeed")
    assert vendor.submits() == 1
    vendor.host.client.journal.forget(vendor.rows[0].request)
    assert torch.equal(vendor.run("wavespeed").images, enlarged("wavespeed", picture()))
    assert named(caught.value)


def test_user_may_still_name_another_id(vendor):
    vendor.fake.faults["submit"].append(
        changed("other", lambda _: b'{"data": {"id": "of-the-request"}}', 500)
    )
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run("wavespeed")
    with pytest.raises(TaskError):
        vendor.run("wavespeed")
    vendor.host.client.attach(named(caught.value), vendor.fake.tasks[0].id)
    assert torch.equal(vendor.run("wavespeed").images, enlarged("wavespeed", picture()))
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize(
    ("command", "fault"),
    rows(
        (("novita",), faults.answer(500, {"message": "no", "request_id": "r-1"})),
        (("novita-v2",), faults.answer(500, "<html>no id here</html>")),
        (
            ("wavespeed",),
            faults.answer(500, {"task_id": "", "data": {"task_id": None, "id": " "}}),
        ),
        (POLLED, faults.answer(500, {"task_id": True, "data": {"task_id": 1.5, "id": []}})),
    ),
)
def test_error_without_an_id_is_in_doubt_as_before(vendor, command, fault):
    vendor.fake.faults["submit"].append(fault)
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run(command)
    assert "--ticket ITS_ID" in str(caught.value)
    assert (vendor.rows[0].ticket, vendor.rows[0].state) == ("", "ambiguous")


@pytest.mark.parametrize("number", [7, 0, -3, 12345678901234567890123])
def test_id_that_is_a_number_is_its_text(number):
    assert as_id(number) == str(number)
    for body in (
        json.dumps({"task_id": number}),
        json.dumps({"task_id": number}) + "x",
        f'{{"task_id": {number}, ',
    ):
        if number >= 0 or body.endswith("}"):
            assert spot_id(body.encode(), ("task_id",)) == str(number)


@pytest.mark.parametrize("value", [None, True, False, 1.5, "", "  ", [], {}, ["x"]])
def test_what_is_no_id(value):
    assert as_id(value) == ""
    assert spot_id(json.dumps({"data": {"id": value}}).encode(), ("data", "id")) == ""


@pytest.mark.parametrize(
    ("body", "path", "id"),
    [
        (b'{"task_id": "a-1"', ("task_id",), "a-1"),
        (b'{"task_id": "a-1', ("task_id",), ""),
        (b'{"task_id": 12', ("task_id",), "12"),
        (b'{"task_id": 12.5', ("task_id",), ""),
        (b'{"x": [{"task_id": "a\\u00e4\\"b"}', ("task_id",), 'aä"b'),
        (b'{"error": {"task_id": "deep"}}', ("data", "task_id"), "deep"),
        (b'{"id": "flat", "status": "created"}', ("data", "id"), "flat"),
        (b"{" * 50_000, ("task_id",), ""),
        (b'"task_id": {' * 50_000, ("task_id",), ""),
        (b"", ("task_id",), ""),
        (b'{"task_id": "a"}', (), ""),
    ],
)
def test_id_is_spotted(body, path, id):
    assert spot_id(body, path) == id


def cut(kept):
    """Promise the whole answer, send it up to and with `kept`, and end or reset the connection."""

    def act(x):
        found = x.behave()
        end = found.body.index(x.service.tasks[-1].id.encode()) + len(x.service.tasks[-1].id) + kept
        x.send_head(found, len(found.body))
        x.write(found.body[:end])
        x.handler.wfile.flush()
        x.service.rest(0.05)
        x.close()

    return Fault("cut", act)


@pytest.mark.parametrize("command", POLLED)
def test_id_of_an_answer_that_broke_off_behind_it_is_kept(vendor, command):
    vendor.fake.faults["submit"].append(cut(1))
    with pytest.raises(AmbiguousSubmitError, match=r"broke off|Cannot reach") as caught:
        vendor.run(command)
    assert caught.value.ticket == vendor.fake.tasks[0].id
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == vendor.submits() == 1


@pytest.mark.parametrize("missing", [0, -5])
def test_half_an_id_is_none(vendor, missing):
    """It would lead to no task, or to another one."""
    vendor.fake.faults["submit"].append(cut(missing))
    with pytest.raises(AmbiguousSubmitError, match="--ticket ITS_ID"):
        vendor.run("novita")
    assert vendor.rows[0].ticket == ""


# --- the API that has none


def test_answer_that_cannot_be_read_and_not_be_fetched_again_is_kept(vendor):
    body = b'{"status_code": 200, "body": "iVBORw0KGgo*"}'
    vendor.fake.faults["submit"].append(faults.answer_after_accept(200, body))
    with pytest.raises(AmbiguousSubmitError, match="What it sent is kept in") as caught:
        vendor.run("photio")
    (path,) = (home() / "results").iterdir()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == body
    with pytest.raises(AmbiguousSubmitError, match="What it sent is kept in"):
        vendor.run("photio")
    assert vendor.submits() == 1


# --- outputs


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgH"


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (PNG, "data"),
        (f"data:image/png;base64,{PNG}", "data"),
        (JPEG, "data"),
        (f"  {JPEG[:20]}\n{JPEG[20:]}", "data"),
        ("UklGRiQAAABXRUJQVlA4", "data"),
        ("https://h.example/x.png", "url"),
        ("HTTPS://h.example/x.png", "url"),
        ("//cdn.example/x.png", "url"),
        ("/files/abcd1", "url"),
        ("/files/x y.png", "url"),
        ("files/größe.png", "url"),
        ("../x.png", "url"),
        ("file:///etc/passwd", "url"),
        ({"url": "/x.png"}, "url"),
        ({"download_url": "https://h.example/x.png"}, "url"),
        ({"url": None, "download_url": PNG}, "data"),
        ("", ""),
        ("!!!", ""),
        (None, ""),
        (5, ""),
        ({}, ""),
        ({"url": ["x"]}, ""),
    ],
)
def test_output_is_an_address_or_a_picture(item, kind):
    found = read_output(item)
    assert (bool(found.url), bool(found.data)) == (kind == "url", kind == "data")
