"""Options are checked against the schema of a model before anything is paid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.contract.schema import read_schema
from upscale_bridge.errors import InvalidInputError

PROPERTIES = {
    "image": {"type": "string"},
    "size": {"type": "string", "enum": ["2k", "4k"], "default": "4k"},
    "factor": {"type": "integer", "enum": [2, 4]},
    "strength": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": ["integer", "null"], "minimum": -1},
    "least": {"type": "number", "maximum": 3},
    "sharp": {"type": "boolean"},
    "tags": {"type": "array"},
    "extra": {"type": "object"},
    "anything": {},
}


def schema(**more):
    return read_schema({"type": "object", "properties": PROPERTIES, **more}, ("image",))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": "2k", "factor": 4, "strength": 0, "seed": -1, "sharp": False, "tags": [1]},
        {"strength": 1, "seed": None, "extra": {}, "anything": [None], "least": -9.5},
        {"seed": 7.0, "factor": 2.0},
        {"size": None},
        {"quite_another": 1},
    ],
    ids=str,
)
def test_what_the_schema_allows_passes(options):
    schema().check(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "8k"}, "size must be one of 2k, 4k; got 8k."),
        ({"factor": 3}, "factor must be one of 2, 4; got 3."),
        ({"factor": "2"}, "factor must be one of 2, 4; got 2."),
        ({"factor": True}, "factor must be one of 2, 4; got true."),
        ({"strength": 1.01}, "strength must be from 0 to 1; got 1.01."),
        ({"strength": "high"}, "strength must be a number; got high."),
        ({"strength": True}, "strength must be a number; got true."),
        ({"strength": float("inf")}, "strength must be a number; got Infinity."),
        ({"seed": -2}, "seed must be -1 or more; got -2."),
        ({"seed": 1.5}, "seed must be a whole number; got 1.5."),
        ({"least": 4}, "least must be at most 3; got 4."),
        ({"sharp": 1}, "sharp must be true or false; got 1."),
        ({"tags": "a"}, "tags must be a list; got a."),
        ({"extra": []}, "extra must be an object; got []."),
        ({"strenght": 1}, "The model has no parameter strenght; strength is meant?"),
    ],
    ids=str,
)
def test_what_it_does_not_allow_is_named(options, words):
    with pytest.raises(InvalidInputError) as caught:
        schema().check(options)
    assert str(caught.value) == words
    assert caught.value.name == "options"


def test_a_closed_schema_takes_nothing_else():
    with pytest.raises(InvalidInputError, match="no parameter quite_another; it has: size, factor"):
        schema(additionalProperties=False).check({"quite_another": 1})


def test_what_is_required_is_asked_for():
    needs = schema(required=["image", "sharp", "size"])
    with pytest.raises(InvalidInputError, match="The model needs sharp"):
        needs.check({})
    with pytest.raises(InvalidInputError):
        needs.check({"sharp": None})
    needs.check({"sharp": True})


def test_defaults_complete_the_options():
    assert schema().complete({"factor": 2, "size": None}) == {"size": "4k", "factor": 2}
    assert schema().complete({"size": "2k"}) == {"size": "2k"}


def test_the_order_is_the_schemas_own_and_nothing_is_lost():
    found = schema(**{"x-order-properties": ["seed", "image", "size", "gone", 3]})
    names = [field.name for field in found.fields]
    assert names[:2] == ["seed", "size"]
    assert set(names) == set(PROPERTIES) - {"image"}


def test_a_model_without_the_file_is_none_of_ours():
    assert read_schema({"properties": {"images": {}}}, ("image",)) is None
    assert read_schema(None, ("image",)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, st.dictionaries(st.sampled_from([*PROPERTIES, "x"]), JSON))
def test_whatever_comes_is_taken_or_refused(properties, options):
    for found in (read_schema({"properties": properties}, ("image",)), schema()):
        if found is not None:
            try:
                found.check(options)
            except InvalidInputError as error:
                assert str(error)
