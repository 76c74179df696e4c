"""What the wires read values with, whatever a service puts there."""

import json

import pytest

from upscale_bridge.contract.http import answer
from upscale_bridge.contract.reading import listed, read_base64, table, whole
from upscale_bridge.contract.tasks import Output
from upscale_bridge.errors import BadReplyError

URL = "https://example.com/a.png"


@pytest.mark.parametrize(
    "text", ["iVBORw0K", "data:image/png;base64,iVBORw0K", "iVBO\r\nRw0K\n", " iVBORw0K "]
)
def test_base64_is_read_with_and_without_a_head(text):
    assert read_base64(text) == b"\x89PNG\r\n"


@pytest.mark.parametrize("text", ["iVBORw0", "a b c!", "ü", "data:image/png;base64,é", "iVBO-_=="])
def test_base64_that_is_none_is_refused(text):
    with pytest.raises(BadReplyError):
        read_base64(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3600", 3600), (3.9, 3), (None, 9), ("", 9), ("nan", 9), ("inf", 9), ([], 9), ("-2", -2)],
)
def test_whole_numbers_are_read(value, expected):
    assert whole(value, 9) == expected


def test_lists_and_tables_are_what_they_should_be():
    assert (listed(None), listed("ab"), listed([1])) == ([], [], [1])
    assert (table(None), table([1]), table({"a": 1})) == ({}, {}, {"a": 1})


def test_images_are_not_shown():
    for shown in (Output(URL, b"secret"), answer({"image": "secret"}), Output(url=URL + "?sig=x")):
        assert "secret" not in repr(shown)
        assert "sig" not in repr(shown)
    assert json.loads(answer({"a": 1}).body) == {"a": 1}
