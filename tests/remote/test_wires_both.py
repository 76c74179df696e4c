"""Each wire's two halves understand each other, and vendors' own clients the server's half."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.errors import InvalidInputError
from upscale_bridge.remote.choices import SHARED
from upscale_bridge.remote.providers import OPERATIONS
from upscale_bridge.remote.providers.novita import NovitaUpscale
from upscale_bridge.remote.providers.novita_resolution import NovitaUpscaleToResolution
from upscale_bridge.remote.providers.novita_v2 import NovitaUpscaleV2
from upscale_bridge.remote.providers.photio import PhotioUpscale
from upscale_bridge.remote.providers.wavespeed import WaveSpeedUpscale
from upscale_bridge.remote.wire import (
    Call,
    Done,
    Failed,
    Output,
    Queued,
    Reply,
    Running,
    Source,
    Ticket,
    post,
)

WITH_TASKS = [kind for kind in OPERATIONS if kind is not PhotioUpscale]
STAY = {*SHARED, "image_url", "send_data_uri"}
"""Parameters that no request carries."""
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
    names = {item.name: values_of(item) for item in kind.params() if item.name not in STAY}
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
    assert kind.wire.read_call(kind.wire.submit(operation, source)) == (operation, source)


@pytest.mark.parametrize("kind", OPERATIONS)
def test_only_submits_of_its_own_are_read(kind):
    (source, *_) = SOURCES[kind]
    call = kind.wire.submit(kind(), source)
    others = [other for other in OPERATIONS if other is not kind]
    assert all(other.wire.read_call(call) is None for other in others)
    assert kind.wire.read_call(Call("GET", call.url)) is None
    assert kind.wire.read_call(Call("PUT", call.url, call.body)) is None
    assert kind.wire.read_call(Call("POST", call.url + "/x", call.body)) is None


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"\xff", b'{"request": 1}', b"[" * 9999]
)
def test_submits_that_make_no_sense_are_refused(kind, body):
    call = kind.wire.submit(kind(), SOURCES[kind][0])
    with pytest.raises(InvalidInputError):
        kind.wire.read_call(Call("POST", call.url, body))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_numbers_of_a_submit_may_be_texts(kind):
    def as_texts(value):
        if isinstance(value, dict):
            return {name: as_texts(inner) for name, inner in value.items()}
        return str(value) if type(value) in (int, float) else value

    call = kind.wire.submit(kind(), SOURCES[kind][0])
    texts = post(call.url, as_texts(json.loads(call.body)))
    assert kind.wire.read_call(texts) == (kind(), SOURCES[kind][0])


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
    assert kind.wire.read_call(post(call.url, {**body, **foreign})) == (kind(), SOURCES[kind][0])


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
        operation, source = kind.wire.read_call(post(path + "?webhook=https://a.example", body))
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


@pytest.mark.parametrize("kind", OPERATIONS)
def test_answers_to_submits_are_read_back(kind):
    for accepted in SUBMITTED.get(kind, [Ticket("a"), Ticket("ü /%2F")]):
        reply = kind.wire.write_submit(accepted)
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
    assert kind.wire.read_poll(kind.wire.write_status("a", status)) == status


@pytest.mark.parametrize("kind", WITH_TASKS)
@given(
    ticket=st.text(min_size=1)
    | st.sampled_from(["a/b", "a b", "a+b", "ü?#&=", "%2F", "result", ".."])
)
def test_polls_are_read_back(kind, ticket):
    call = kind.wire.poll(ticket)
    assert kind.wire.read_poll_call(call) == ticket
    assert kind.wire.read_call(call) is None
    assert kind.wire.read_poll_call(Call("POST", call.url)) is None


@pytest.mark.parametrize("kind", WITH_TASKS)
def test_poll_without_a_ticket_asks_for_no_task(kind):
    assert not kind.wire.read_poll_call(kind.wire.poll(""))


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("url", ["/", "/healthz", "/api/v3/predictions/a/b/result", "/v3/async"])
def test_other_calls_are_no_polls(kind, url):
    assert kind.wire.read_poll_call(Call("GET", url)) is None


@pytest.mark.parametrize("path", ["/api/v3/predictions/a/result", "/api/v2/predictions/a"])
def test_wavespeed_is_polled_in_both_ways_and_versions(path):
    assert WaveSpeedUpscale.wire.read_poll_call(Call("GET", path)) == "a"


def test_photio_has_no_tasks():
    wire = PhotioUpscale.wire
    for call in (lambda: wire.poll("a"), lambda: wire.read_poll(Reply(200))):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        wire.write_submit(Ticket("a"))


# --- what vendors' own clients insist on

ALL = [Queued(), Running(), Running(0.123), Done((Output(url=URL),)), Done(()), Failed("why")]


@pytest.mark.parametrize("status", ALL)
def test_novita_clients_can_read_every_state(status):
    body = NovitaUpscale.wire.write_status("a", status).json()
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
    (image,) = NovitaUpscale.wire.write_status("a", done).json()["images"]
    assert image["image_type"] in ("", "png")


@pytest.mark.parametrize("status", ALL)
def test_novita_v2_clients_can_read_every_state(status):
    body = NovitaUpscaleV2.wire.write_status("a", status).json()
    data = body["data"]
    assert (body["code"], body["msg"]) == (0, "")
    assert {type(data[name]) for name in ("status", "progress", "eta_relative")} == {int}
    assert isinstance(data["imgs"], list)
    assert isinstance(data["current_images"], list)  # the recorded replies never have null
    assert data["failed_reason"] is not None


@pytest.mark.parametrize("status", ALL)
def test_wavespeed_clients_can_read_every_state(status):
    body = WaveSpeedUpscale.wire.write_status("a b", status).json()
    data = body["data"]
    assert (body["code"], data["id"]) == (200, "a b")
    assert type(data["timings"]["inference"]) is int
    assert isinstance(data["error"], str)
    assert len(data["outputs"]) == len(data["has_nsfw_contents"])
    assert data["urls"]["get"].endswith(WaveSpeedUpscale.wire.poll("a b").url)
