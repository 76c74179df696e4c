"""Each wire's two halves understand each other, and vendors' own clients the server's half."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.contract.http import Call, post
from upscale_bridge.contract.server import Poll, ServedTask, Submit
from upscale_bridge.contract.shared import SHARED
from upscale_bridge.contract.tasks import Done, Failed, Output, Queued, Running, Source, Ticket
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.vendors import OPERATIONS, SERVERS, server_for
from upscale_bridge.vendors.novita.resolution import NovitaUpscaleToResolution
from upscale_bridge.vendors.novita.upscale import NovitaUpscale
from upscale_bridge.vendors.novita.v2 import NovitaUpscaleV2
from upscale_bridge.vendors.photio import PhotioUpscale
from upscale_bridge.vendors.wavespeed.upscale import WaveSpeedUpscale

WITH_TASKS = [kind for kind in OPERATIONS if kind is not PhotioUpscale]
URL = "https://example.com/a%2Fb/picture.png?X-Amz-Signature=a%3D~"
BASE64, DATA_URI, ADDRESS = (
    Source("base64", "iVBORw0K/+=="),
    Source("data_uri", "data:image/png;base64,iVBORw0K/+=="),
    Source("url", URL),
)
SOURCES = {
    NovitaUpscale: [BASE64],
    NovitaUpscaleToResolution: [ADDRESS, DATA_URI],
    NovitaUpscaleV2: [BASE64],
    PhotioUpscale: [BASE64, ADDRESS],
    WaveSpeedUpscale: [ADDRESS, DATA_URI],
}


def server(kind):
    return server_for(kind.__name__)


def read(kind, call):
    """Return what the server's half makes of a call: (operation, source) of a submit."""
    found = server(kind).read(call)
    return (found.operation, found.source) if isinstance(found, Submit) else found


def task(ticket, **parameters):
    return ServedTask(ticket, parameters, "")


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


@st.composite
def operations(draw, kind):
    """Draw an operation of which all values travel; v2 tells one size or the other."""
    stay = {*SHARED, *kind.client_only}
    names = {item.name: values_of(item) for item in kind.params() if item.name not in stay}
    if kind is NovitaUpscaleV2:
        by_factor = draw(st.booleans())
        names["resize_mode"] = st.just("by factor" if by_factor else "to size")
        sized = ("upscaling_resize_w", "upscaling_resize_h", "upscaling_crop")
        for name in sized if by_factor else ("upscaling_resize",):
            del names[name]
    return kind(**draw(st.fixed_dictionaries(names)))


@pytest.mark.parametrize("kind", OPERATIONS)
@given(data=st.data())
def test_submits_are_read_back(kind, data):
    operation = data.draw(operations(kind))
    source = data.draw(st.sampled_from(SOURCES[kind]))
    assert read(kind, kind.wire.submit(operation, source)) == (operation, source)


@pytest.mark.parametrize("kind", OPERATIONS)
def test_only_submits_of_its_own_are_read(kind):
    (source, *_) = SOURCES[kind]
    call = kind.wire.submit(kind(), source)
    others = [other for other in SERVERS if other is not server(kind)]
    assert all(other.read(call) is None for other in others)
    assert read(kind, Call("GET", call.url)) is None
    assert read(kind, Call("PUT", call.url, call.body)) is None
    assert read(kind, Call("POST", call.url + "/x", call.body)) is None


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"\xff", b'{"request": 1}', b"[" * 9999]
)
def test_submits_that_make_no_sense_are_refused(kind, body):
    call = kind.wire.submit(kind(), SOURCES[kind][0])
    with pytest.raises(InvalidInputError):
        read(kind, Call("POST", call.url, body))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_numbers_of_a_submit_may_be_texts(kind):
    def as_texts(value):
        if isinstance(value, dict):
            return {name: as_texts(inner) for name, inner in value.items()}
        return str(value) if type(value) in (int, float) else value

    call = kind.wire.submit(kind(), SOURCES[kind][0])
    texts = post(call.url, as_texts(json.loads(call.body)))
    assert read(kind, texts) == (kind(), SOURCES[kind][0])


@pytest.mark.parametrize("kind", OPERATIONS)
def test_parameters_of_the_client_alone_are_not_taken_from_a_submit(kind):
    """A server that took image_url from a request would fetch what a stranger names."""
    call = kind.wire.submit(kind(), SOURCES[kind][0])
    body = json.loads(call.body)
    foreign = {
        "image_url": "http://169.254.169.254/",
        "send_data_uri": True,
        "attempt": 7,
        "when_unavailable": "run locally",
    }
    body = {name: {**v, **foreign} if isinstance(v, dict) else v for name, v in body.items()}
    assert read(kind, post(call.url, {**body, **foreign})) == (kind(), SOURCES[kind][0])


@pytest.mark.parametrize(
    ("kind", "path", "names"),
    [
        (NovitaUpscaleToResolution, "/v3/async/image-upscaler", ("resolution", "output_format")),
        (
            WaveSpeedUpscale,
            "/api/v3/wavespeed-ai/image-upscaler",
            ("target_resolution", "output_format"),
        ),
        (WaveSpeedUpscale, "/api/v2/wavespeed-ai/image-upscaler", ("output_format", "creativity")),
    ],
)
def test_missing_and_null_parameters_mean_the_vendors_defaults(kind, path, names):
    for body in ({"image": URL}, {"image": URL, **dict.fromkeys(names)}):
        operation, source = read(kind, post(path + "?webhook=https://a.example", body))
        assert operation == kind(output_format="jpeg")
        assert source == ADDRESS


# --- answers

SUBMITTED = {
    PhotioUpscale: [Done((Output(data=b"\x89PNG"),))],
    WaveSpeedUpscale: [
        Ticket("a"),
        Done((Output(data=b"\x89PNG"),), "a"),
        Done((Output(url=URL, flagged=True), Output(url=URL)), "a b/ü"),
    ],
}


def written(kind, accepted):
    """Return the answer to a submit that was accepted, or is done already."""
    if not kind.has_tasks():
        return server(kind).write_result(accepted.outputs[0])
    if isinstance(accepted, Ticket):
        return server(kind).write_submit(task(accepted.id))
    return server(kind).write_status(task(accepted.ticket), accepted)


@pytest.mark.parametrize("kind", OPERATIONS)
def test_answers_to_submits_are_read_back(kind):
    for accepted in SUBMITTED.get(kind, [Ticket("a"), Ticket("ü /%2F")]):
        reply = written(kind, accepted)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert kind.wire.read_submit(reply) == accepted


def states(kind):
    """Draw what the wire can carry: only v3 tells a fraction, and only WaveSpeed a flag."""
    reasons = st.text(min_size=1).map(Failed)
    addresses = st.lists(st.just(Output(url=URL)), max_size=2)
    if kind is WaveSpeedUpscale:
        outputs = st.builds(Output, url=st.just(URL), flagged=st.booleans()) | st.builds(
            Output, data=st.binary().map(b"\x89PNG".__add__), flagged=st.booleans()
        )
        addresses, shares = st.lists(outputs, max_size=3), st.none()
    else:
        percent = st.nothing() if kind is NovitaUpscaleV2 else st.integers(1, 100)
        shares = st.none() | percent.map(lambda number: number / 100)
    done = addresses.map(lambda found: Done(tuple(found)))
    return st.just(Queued()) | shares.map(Running) | done | reasons


@pytest.mark.parametrize("kind", WITH_TASKS)
@given(data=st.data())
def test_states_are_read_back(kind, data):
    status = data.draw(states(kind))
    assert kind.wire.read_poll(server(kind).write_status(task("a"), status)) == status


@pytest.mark.parametrize("kind", WITH_TASKS)
@given(
    ticket=st.text(min_size=1)
    | st.sampled_from(["a/b", "a b", "a+b", "ü?#&=", "%2F", "result", ".."])
)
def test_polls_are_read_back(kind, ticket):
    call = kind.wire.poll(ticket)
    assert read(kind, call) == Poll(ticket)
    assert read(kind, Call("POST", call.url)) is None


@pytest.mark.parametrize("kind", WITH_TASKS)
def test_poll_without_a_ticket_asks_for_no_task(kind):
    assert read(kind, kind.wire.poll("")) in (None, Poll(""))


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("url", ["/", "/healthz", "/api/v3/predictions/a/b/result", "/v3/async"])
def test_other_calls_are_no_polls(kind, url):
    assert read(kind, Call("GET", url)) is None


@pytest.mark.parametrize("path", ["/api/v3/predictions/a/result", "/api/v2/predictions/a"])
def test_wavespeed_is_polled_in_both_ways_and_versions(path):
    assert read(WaveSpeedUpscale, Call("GET", path)) == Poll("a")


# --- what vendors' own clients insist on

ALL = [Queued(), Running(), Running(0.123), Done((Output(url=URL),)), Done(()), Failed("why")]


@pytest.mark.parametrize("status", ALL)
def test_novita_clients_can_read_every_state(status):
    body = server(NovitaUpscale).write_status(task("a"), status).json()
    assert isinstance(body["extra"], dict)
    assert isinstance(body["images"], list)
    assert body["videos"] == []
    assert body["task"]["task_id"] == "a"
    words = {"QUEUED", "PROCESSING", "SUCCEED", "FAILED"}
    assert body["task"]["status"].removeprefix("TASK_STATUS_") in words
    assert {type(body["task"][name]) for name in ("eta", "progress_percent")} == {int}
    assert body["task"]["reason"] is not None
    for image in body["images"]:
        assert (image["image_url"], image["image_type"], image["image_url_ttl"]) == (
            URL,
            "png",
            "3600",
        )


def test_novita_image_type_is_never_an_address():
    done = Done((Output(url="https://example.com/files/abc?x=a.png"),))
    (image,) = server(NovitaUpscale).write_status(task("a"), done).json()["images"]
    assert image["image_type"] in ("", "png")


@pytest.mark.parametrize("status", ALL)
def test_novita_v2_clients_can_read_every_state(status):
    body = server(NovitaUpscaleV2).write_status(task("a"), status).json()
    data = body["data"]
    assert (body["code"], body["msg"]) == (0, "")
    assert {type(data[name]) for name in ("status", "progress", "eta_relative")} == {int}
    assert isinstance(data["imgs"], list)
    assert isinstance(data["current_images"], list)  # the recorded replies never have null
    assert data["failed_reason"] is not None


@pytest.mark.parametrize("status", ALL)
def test_wavespeed_clients_can_read_every_state(status):
    body = server(WaveSpeedUpscale).write_status(task("a b"), status).json()
    data = body["data"]
    assert (body["code"], data["id"]) == (200, "a b")
    assert type(data["timings"]["inference"]) is int
    assert isinstance(data["error"], str)
    assert len(data["outputs"]) == len(data["has_nsfw_contents"])
    assert data["urls"]["get"].endswith(WaveSpeedUpscale.wire.poll("a b").url)
