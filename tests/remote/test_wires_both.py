"""Each wire's two halves understand each other, where our own server has one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vendors import profiles
from upscale_bridge.contract.http import Call, post
from upscale_bridge.contract.server import Poll, ServedTask, Submit
from upscale_bridge.contract.shared import SHARED
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import (
    AuthError,
    BadReplyError,
    InvalidInputError,
    ProviderError,
    QuotaError,
)
from upscale_bridge.vendors import OPERATIONS, SERVERS, server_for

SERVED = [one for one in profiles().values() if one.served]
WITH_TASKS = [one for one in SERVED if one.words]
URL = "https://example.com/a%2Fb/picture.png?X-Amz-Signature=a%3D~"
SOURCES = {
    "base64": Source("base64", "iVBORw0K/+=="),
    "data_uri": Source("data_uri", "data:image/png;base64,iVBORw0K/+=="),
    "url": Source("url", URL),
}
EACH = pytest.mark.parametrize("profile", SERVED, ids=lambda one: one.command)
EACH_TASK = pytest.mark.parametrize("profile", WITH_TASKS, ids=lambda one: one.command)


def server(profile):
    return server_for(profile.operation.__name__)


def sources(profile):
    return [SOURCES[kind] for kind in profile.served.sources]


def submit(profile):
    """Return a submit of all defaults."""
    return profile.operation.wire.submit(profile.operation(), sources(profile)[0])


def read(profile, call):
    """Return what the server's half makes of a call: (operation, source) of a submit."""
    found = server(profile).read(call)
    return (found.operation, found.source) if isinstance(found, Submit) else found


def task(ticket, **parameters):
    return ServedTask(ticket, parameters, "")


def test_who_has_a_server_has_told_how():
    taken = {kind for one in SERVERS for kind in one.operations if kind in OPERATIONS}
    assert {one.operation for one in SERVED} == taken


# --- requests


def values_of(item):
    match item.kind:
        case "choice":
            return st.sampled_from(item.choices)
        case "bool":
            return st.booleans()
        case "int":
            return st.integers(item.minimum, item.maximum)
        case "float":
            low = item.minimum if item.above is None else item.above
            return st.floats(low, item.maximum, exclude_min=item.above is not None)
    return st.text()


@EACH
@settings(max_examples=30)
@given(data=st.data())
def test_submits_are_read_back(profile, data):
    """What a request does not tell, as the other way of two, comes back as the default."""
    kind, source = profile.operation, data.draw(st.sampled_from(sources(profile)))
    never = {*SHARED, *kind.client_only}
    names = {item.name: values_of(item) for item in kind.params() if item.name not in never}
    operation = kind(**data.draw(st.fixed_dictionaries(names)))
    call = kind.wire.submit(operation, source)
    found, image = read(profile, call)
    assert image == source
    assert kind.wire.submit(found, source) == call
    differ = {name for name in names if getattr(found, name) != getattr(operation, name)}
    assert differ <= set(profile.served.either)


@EACH
def test_only_submits_of_its_own_are_read(profile):
    call = submit(profile)
    others = [other for other in SERVERS if other is not server(profile)]
    assert all(other.read(call) is None for other in others)
    assert read(profile, Call("GET", call.url)) is None
    assert read(profile, Call("PUT", call.url, call.body)) is None
    assert read(profile, Call("POST", call.url + "/x", call.body)) is None


@EACH
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"\xff", b'{"request": 1}', b"[" * 9999]
)
def test_submits_that_make_no_sense_are_refused(profile, body):
    with pytest.raises(InvalidInputError):
        read(profile, Call("POST", submit(profile).url, body))


@EACH
def test_numbers_of_a_submit_may_be_texts(profile):
    def as_texts(value):
        if isinstance(value, dict):
            return {name: as_texts(inner) for name, inner in value.items()}
        return str(value) if type(value) in (int, float) else value

    call = submit(profile)
    texts = post(call.url, as_texts(json.loads(call.body)))
    assert read(profile, texts) == (profile.operation(), sources(profile)[0])


@EACH
def test_parameters_of_the_client_alone_are_not_taken_from_a_submit(profile):
    """A server that took image_url from a request would fetch what a stranger names."""
    call = submit(profile)
    body = json.loads(call.body)
    foreign = {
        "image_url": "http://169.254.169.254/",
        "send_data_uri": True,
        "attempt": 7,
        "when_unavailable": "run locally",
    }
    body = {name: {**v, **foreign} if isinstance(v, dict) else v for name, v in body.items()}
    told = post(call.url, {**body, **foreign})
    assert read(profile, told) == (profile.operation(), sources(profile)[0])


@EACH_TASK
@settings(max_examples=30)
@given(
    ticket=st.text(min_size=1)
    | st.sampled_from(["a/b", "a b", "a+b", "ü?#&=", "%2F", "result", ".."])
)
def test_polls_are_read_back(profile, ticket):
    call = profile.operation.wire.poll(ticket)
    assert read(profile, call) == Poll(ticket)
    assert read(profile, Call("POST", call.url)) is None


@EACH_TASK
def test_poll_without_a_ticket_asks_for_no_task(profile):
    assert read(profile, profile.operation.wire.poll("")) in (None, Poll(""))


@EACH
@pytest.mark.parametrize("url", ["/", "/healthz", "/api/v3/predictions/a/b/result", "/v3/async"])
def test_other_calls_are_no_polls(profile, url):
    assert read(profile, Call("GET", url)) is None


# --- answers


def written(profile, accepted):
    """Return the answer to a submit that was accepted, or is done already."""
    if not profile.words:
        return server(profile).write_result(accepted.outputs[0])
    if isinstance(accepted, Ticket):
        return server(profile).write_submit(task(accepted.id))
    return server(profile).write_status(task(accepted.ticket), accepted)


@EACH
def test_answers_to_submits_are_read_back(profile):
    cases = [Ticket("a"), Ticket("ü /%2F")] if profile.words else [Done((Output(data=b"\x89PNG"),))]
    if any(isinstance(one, Done) for one in profile.accepted.values()) and profile.words:
        outputs = (Output(url=URL, flagged=profile.served.flags), Output(url=URL))
        cases += [Done((Output(data=b"\x89PNG"),), "a"), Done(outputs, "a b/ü")]
    for accepted in cases:
        reply = written(profile, accepted)
        assert reply.status == profile.served.accepted
        assert reply.headers["content-type"] == "application/json"
        assert profile.operation.wire.read_submit(reply) == accepted


def states(served):
    """Draw what the wire can carry."""
    flags = st.booleans() if served.flags else st.just(False)
    outputs = st.builds(Output, url=st.just(URL), flagged=flags)
    if served.inline:
        data = st.binary().map(b"\x89PNG".__add__)
        outputs |= st.builds(Output, data=data, flagged=flags)
    percent = st.integers(1, 100) if served.fractions else st.nothing()
    shares = st.none() | percent.map(lambda number: number / 100)
    done = st.lists(outputs, max_size=served.results).map(lambda found: Done(tuple(found)))
    return st.just(Queued()) | shares.map(Running) | done | st.text(min_size=1).map(Failed)


@EACH_TASK
@settings(max_examples=30)
@given(data=st.data())
def test_states_are_read_back(profile, data):
    status = data.draw(states(profile.served))
    reply = server(profile).write_status(task("a"), status)
    assert profile.operation.wire.read_poll(reply) == status


# --- refusals

WRITTEN = {
    400: ProviderError,
    401: AuthError,
    402: QuotaError,
    403: AuthError,
    404: ProviderError,
    409: ProviderError,
    418: ProviderError,
    429: QuotaError,
    500: BadReplyError,
    503: BadReplyError,
    504: BadReplyError,
    507: BadReplyError,
}
WHY = "What to do about it"


def refused(profile, status, message=WHY):
    with pytest.raises(ProviderError) as caught:
        profile.operation.wire.read_submit(server(profile).write_error(status, message))
    return caught.value


@EACH
@pytest.mark.parametrize(("status", "error"), WRITTEN.items())
def test_written_errors_are_read_back_in_the_right_class(profile, status, error):
    """A `BadReplyError` puts a paid task in doubt, so a clear refusal must not become one."""
    if status not in profile.served.no_code:
        assert type(refused(profile, status)) is error
    assert WHY in str(refused(profile, status))
    assert refused(profile, status).provider == profile.operation.vendor.name
    reply = server(profile).write_error(status, WHY)
    assert reply.headers["content-type"] == "application/json"
    if profile.served.numeric:
        body = reply.json()
        assert type(body.get("code", body.get("status_code"))) is int


@EACH_TASK
def test_unknown_tasks_are_read_back_as_such(profile):
    with pytest.raises(ProviderError) as caught:
        profile.operation.wire.read_poll(server(profile).write_error(404, "no such task"))
    assert caught.value.status == 404


@EACH
def test_long_words_of_a_service_are_shortened_to_one_line(profile):
    found = str(refused(profile, 400, "a\nb \x00" * 5000))
    assert len(found) < 500
    assert "\n" not in found
