"""Parameters check what users and hosts give them."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.errors import InvalidInputError
from upscale_bridge.local.operation import LocalUpscale, LocalUpscaleVideo
from upscale_bridge.params import Operation, Param, param
from upscale_bridge.vendors import OPERATIONS, PhotioUpscale

COUNT = Param("count", "int", 3, "A count.", minimum=1, maximum=10)
RATIO = Param("ratio", "float", 0.5, "A ratio.", minimum=-1.5, maximum=2.0)
SWITCH = Param("switch", "bool", False, "A switch.")
TITLE = Param("title", "text", "", "A title.")
MODE = Param("mode", "choice", "fast", "A mode.", choices=("fast", "good"))


@dataclass(frozen=True)
class Sample(Operation):
    """All kinds of parameters."""

    title: ClassVar[str] = "Sample"
    count: int = param(3, "A count.", minimum=1, maximum=10)
    ratio: float = param(0.5, "A ratio.", step=0.25)
    switch: bool = param(True, "A switch.")
    label: str = param("x", "A label.")
    mode: str = param("fast", "A mode.", choices=("fast", "good"))


@pytest.mark.parametrize(
    ("item", "value", "expected"),
    [
        (COUNT, 3, 3),
        (COUNT, 3.0, 3),
        (COUNT, 1, 1),
        (COUNT, 10, 10),
        (RATIO, 2, 2.0),
        (RATIO, -1.5, -1.5),
        (SWITCH, True, True),
        (TITLE, "", ""),
        (MODE, "good", "good"),
    ],
)
def test_good_values_come_back_in_their_own_type(item, value, expected):
    found = item.check(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        *[(COUNT, v) for v in (0, 11, 2.5, True, "3", None, math.nan, math.inf, [3])],
        *[(RATIO, v) for v in (-1.6, 2.01, False, "0.5", None, math.nan, -math.inf, 1j)],
        *[(SWITCH, v) for v in (0, 1, "true", None)],
        *[(TITLE, v) for v in (1, None, b"x", ["x"])],
        *[(MODE, v) for v in ("Fast", "", None, 0, ["fast"])],
    ],
)
def test_bad_values_are_refused_by_name_and_value(item, value):
    with pytest.raises(InvalidInputError) as caught:
        item.check(value)
    assert caught.value.name == item.name
    assert str(caught.value).startswith(f"{item.name} must be ")
    assert repr(value) in str(caught.value)


def test_refusals_name_the_range():
    with pytest.raises(
        InvalidInputError, match=r"count must be a whole number from 1 to 10; got 11"
    ):
        COUNT.check(11)
    with pytest.raises(InvalidInputError, match=r"ratio must be a number from -1\.5 to 2; got 3"):
        RATIO.check(3)
    with pytest.raises(InvalidInputError, match=r"mode must be one of fast, good; got 'slow'"):
        MODE.check("slow")


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none(), st.binary()))
def test_any_value_is_taken_or_refused(value):
    for item in (COUNT, RATIO, SWITCH, TITLE, MODE):
        try:
            found = item.check(value)
        except InvalidInputError as error:
            assert error.name == item.name
        else:
            assert item.check(found) == found


def test_parameters_are_read_from_the_fields():
    assert [(p.name, p.kind, p.default) for p in Sample.params()] == [
        ("count", "int", 3),
        ("ratio", "float", 0.5),
        ("switch", "bool", True),
        ("label", "text", "x"),
        ("mode", "choice", "fast"),
    ]
    count, ratio, _, _, mode = Sample.params()
    assert (count.help, count.minimum, count.maximum) == ("A count.", 1, 10)
    assert (ratio.minimum, ratio.maximum, ratio.step) == (None, None, 0.25)
    assert mode.choices == ("fast", "good")


def test_operation_checks_when_it_is_made():
    with pytest.raises(InvalidInputError, match="count must be"):
        Sample(count=0)
    assert type(Sample(count=4.0).count) is int
    assert type(Sample(ratio=1).ratio) is float


def test_operation_checks_when_it_is_replaced():
    sample = Sample()
    with pytest.raises(InvalidInputError, match="mode must be"):
        dataclasses.replace(sample, mode="slow")
    assert dataclasses.replace(sample, mode="good").mode == "good"


def test_operation_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample().count = 5


def test_defaults_of_the_local_upscale_are_valid_and_explained():
    assert LocalUpscale() == LocalUpscale(**{p.name: p.default for p in LocalUpscale.params()})
    for item in LocalUpscale.params():
        assert item.help.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale_factor", 0.2),
        ("scale_factor", 16.5),
        ("tile_size", -1),
        ("tile_size", 4097),
        ("precision", "fp8"),
        ("alpha", "none"),
        ("download", 1),
        ("model", None),
    ],
)
def test_local_upscale_refuses_what_it_cannot_do(name, value):
    with pytest.raises(InvalidInputError) as caught:
        LocalUpscale(**{name: value})
    assert caught.value.name == name


def test_integers_too_large_for_a_float_are_refused_in_one_sentence():
    with pytest.raises(InvalidInputError, match="from 1 to 10") as caught:
        COUNT.check(10**400)
    assert len(str(caught.value)) < 200


@dataclass(frozen=True)
class GrownUpscale(LocalUpscale):
    """`LocalUpscale` after a release that appended a parameter to it."""

    sharpness: float = param(0.5, "A new one.")


@dataclass(frozen=True)
class GrownUpscaleVideo(LocalUpscaleVideo, GrownUpscale):
    """Takes its fields from it as `LocalUpscaleVideo` does: the new one before `crf`."""


@dataclass(frozen=True)
class GrownPhotio(PhotioUpscale):
    """A remote operation after a release that appended a parameter to it."""

    order: ClassVar[tuple[str, ...]] = tuple(item.name for item in PhotioUpscale.params())
    sharpness: float = param(0.5, "A new one.")


def names(kind):
    return [item.name for item in kind.params()]


def test_a_parameter_more_of_images_does_not_shift_those_of_videos():
    """Workflows save the values of widgets by their places."""
    saved = ["model", "scale_factor", "tile_size", "precision", "download", "crf"]
    fields = [field.name for field in dataclasses.fields(GrownUpscaleVideo)]
    assert fields.index("sharpness") < fields.index("crf")
    assert names(LocalUpscaleVideo)[: len(saved)] == saved
    assert names(GrownUpscaleVideo) == [*names(LocalUpscaleVideo), "sharpness"]


def test_a_parameter_more_of_a_vendor_does_not_shift_those_of_all_vendors():
    assert names(GrownPhotio) == [*names(PhotioUpscale), "sharpness"]


@pytest.mark.parametrize("kind", [LocalUpscale, LocalUpscaleVideo, *OPERATIONS])
def test_an_order_names_parameters_that_are_there_each_once(kind):
    assert len(set(kind.order)) == len(kind.order)
    assert set(kind.order) <= set(names(kind))
