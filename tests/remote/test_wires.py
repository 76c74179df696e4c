"""The client's half of each wire, against the recorded exchanges."""

import json

import pytest

from tests.vendors import profiles
from upscale_bridge.contract.http import Reply
from upscale_bridge.contract.tasks import Source
from upscale_bridge.errors import BadReplyError, ProviderError
from upscale_bridge.vendors import OPERATIONS

PROFILES = tuple(profiles().values())


def each(field):
    """Return a case for each sample that a field of the profiles tells of."""
    return [
        pytest.param(one, name, expected, id=f"{one.command}-{name}")
        for one in PROFILES
        for name, expected in getattr(one, field).items()
    ]


def image_of(body):
    """Return the longest text of a recorded body: the image."""
    if isinstance(body, dict):
        return max(map(image_of, body.values()), key=len)
    return body if isinstance(body, str) else ""


@pytest.mark.parametrize(
    ("profile", "sent"),
    [
        pytest.param(one, sent, id=f"{one.command}-{sent.sample}")
        for one in PROFILES
        for sent in one.submits
    ],
)
def test_submit_is_the_recorded_request(profile, sent):
    kept = profile.recorded[sent.sample]
    call = profile.operation.wire.submit(sent.operation, Source(sent.kind, image_of(kept["body"])))
    assert (call.method, call.url) == (kept["method"], kept["path"])
    check_headers(profile.operation, call, kept)
    said = json.loads(call.body)
    assert {key: value for key, value in said.items() if key not in sent.more} == {
        key: value for key, value in kept["body"].items() if key not in sent.less
    }
    assert set(sent.more) <= said.keys()


def check_headers(operation, call, kept):
    """Compare with the recorded headers; that of the key is added where the call is sent."""
    vendor, headers = operation.vendor, dict(kept["headers"])
    assert headers.pop(vendor.auth_header).startswith(vendor.auth_scheme)
    assert dict(call.headers) == headers


@pytest.mark.parametrize("profile", [one for one in PROFILES if one.poll])
def test_poll_is_the_recorded_request(profile):
    name, ticket = profile.poll
    kept, call = profile.recorded[name], profile.operation.wire.poll(ticket)
    assert (call.method, call.url, call.body) == (kept["method"], kept["path"], b"")
    check_headers(profile.operation, call, kept)


@pytest.mark.parametrize(("profile", "name", "expected"), each("accepted"))
def test_recorded_answers_to_submits_are_read(profile, name, expected):
    assert profile.operation.wire.read_submit(profile.reply(name)) == expected


@pytest.mark.parametrize(("profile", "name", "expected"), each("states"))
def test_recorded_states_are_read(profile, name, expected):
    assert profile.operation.wire.read_poll(profile.reply(name)) == expected


@pytest.mark.parametrize(("profile", "name", "expected"), each("errors"))
def test_recorded_errors_are_of_the_right_class(profile, name, expected):
    """They are whole sentences, since more are put behind them, which say what follows."""
    wire, (error, status) = profile.operation.wire, expected
    body = profile.recorded[name]["body"]
    for key in profile.error_words:
        body = body[key]
    for read in (wire.read_submit, wire.read_poll if profile.words else wire.read_submit):
        with pytest.raises(ProviderError) as caught:
            read(profile.reply(name))
        assert type(caught.value) is error
        assert status is None or caught.value.status == status
        assert body in str(caught.value)
        assert str(caught.value).endswith(".")


def test_every_operation_has_a_profile_and_every_sample_of_a_reading_is_tested():
    assert [one.operation for one in PROFILES] == list(OPERATIONS)
    for one in PROFILES:
        assert (one.words is not None) == one.operation.has_tasks()
    for folder in {one.samples for one in PROFILES}:
        here = [one for one in PROFILES if one.samples == folder]
        read = {name for one in here for name in (*one.accepted, *one.states, *one.errors)}
        answers = {name for one in here for name, kept in one.recorded.items() if "status" in kept}
        assert read <= answers
        assert {name for name in answers if name.startswith("error_")} <= read


def test_samples_are_complete():
    for one in PROFILES:
        for name, kept in one.recorded.items():
            sides = ({"status"}, {"method", "path", "headers"})
            assert kept.keys() - {"about", "source", "body"} in sides, name
            assert kept["source"] in ("seed", "official", "inferred"), name


# --- answers that no document promises


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"<html>Sign in</html>"),
        Reply(200, b"[]"),
        Reply(200, b"null"),
        Reply(200, b"{}"),
        Reply(200, b"\xff\xfe\xfa"),
        Reply(200, b"[" * 100_000),
        Reply(200, b'{"code": 0, "msg": "", "data": {}}'),
        Reply(200, b'{"task_id": true, "id": null, "data": [], "body": null, "code": 0}'),
        Reply(204),
        Reply(303, headers={"location": "/"}),
        Reply(408),
        Reply(502, b"<html>Bad gateway</html>"),
    ],
)
def test_answers_to_submits_that_make_no_sense_are_in_doubt(kind, reply):
    with pytest.raises(ProviderError) as caught:
        kind.wire.read_submit(reply)
    assert type(caught.value) is BadReplyError


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_of_a_submit_are_refused_and_explained(kind, status):
    with pytest.raises(ProviderError, match=kind.vendor.url_variable) as caught:
        kind.wire.read_submit(Reply(status, headers={"location": "https://elsewhere.example"}))
    assert type(caught.value) is ProviderError
