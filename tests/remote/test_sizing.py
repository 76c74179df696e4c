"""Which parameters of a service give a size that a host wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.remote.host import ALL, KINDS
from upscale_bridge.contract.sizing import reaching
from upscale_bridge.errors import InvalidInputError

SIDES = st.integers(1, 8192)
FACTORS = st.one_of(st.floats(1, 40), st.integers(1, 16))
SIZED = [command for command in ALL if KINDS[command].size_parameter]
COMMANDS = st.sampled_from(SIZED)


def chosen(command, width, height, factor):
    operation = reaching(KINDS[command], width, height, factor)
    return getattr(operation, KINDS[command].size_parameter)


def sizes(kind):
    """Return an operation for each size that a service with a list of them can be asked for."""
    item = next(item for item in kind.params() if item.name == kind.size_parameter)
    return [kind(**{item.name: value}) for value in item.choices]


CHOOSING = [command for command in SIZED if sizes(KINDS[command])]
"""Those that have a list of sizes."""


@given(COMMANDS, SIDES, SIDES, FACTORS)
def test_result_is_as_large_as_wanted_or_as_the_service_makes_it(command, width, height, factor):
    kind = KINDS[command]
    operation = reaching(kind, width, height, factor)
    longest = max(operation.target(width, height))
    item = next(item for item in kind.params() if item.name == kind.size_parameter)
    most = item.choices[-1] if item.choices else item.maximum
    wanted = int(max(width, height) * factor)
    wanted = wanted // 8 * 8 if command == "novita-v2" else wanted - 1
    assert longest >= wanted or getattr(operation, item.name) == most


@given(st.sampled_from(CHOOSING), SIDES, SIDES, FACTORS)
def test_no_smaller_size_of_the_service_would_do(command, width, height, factor):
    kind, wanted = KINDS[command], int(max(width, height) * factor)
    operation = reaching(kind, width, height, factor)
    for one in sizes(kind):
        if one == operation:
            break
        refused = one.limits.edge is not None and max(width, height) > one.limits.edge
        assert refused or max(one.target(width, height)) < wanted


@given(COMMANDS, SIDES, SIDES, FACTORS)
def test_chosen_size_is_not_refused_while_another_would_be_taken(command, width, height, factor):
    """A service takes larger images for larger results."""
    edge = reaching(KINDS[command], width, height, factor).limits.edge
    allowed = [one.limits.edge for one in sizes(KINDS[command])]
    if edge is not None and max(width, height) > edge:
        assert not [one for one in allowed if one is not None and one >= max(width, height)]


@pytest.mark.parametrize(
    ("command", "width", "factor", "value"),
    [
        ("novita", 100, 1, 1.25),
        ("novita", 100, 1.1, 1.25),
        ("novita", 100, 1.25, 1.25),
        ("novita", 100, 3.3, 3.3),
        ("novita", 100, 4, 4.0),
        ("novita", 100, 9.5, 4.0),
        ("novita-v2", 100, 1, 1.0),
        ("novita-v2", 100, 2.05, 2.05),
        ("novita-v2", 100, 16, 8.0),
        ("photio", 100, 1, "2"),
        ("photio", 100, 2, "2"),
        ("photio", 100, 2.02, "4"),
        ("photio", 100, 16, "4"),
        ("novita-resolution", 512, 4, "2k"),
        ("novita-resolution", 513, 4, "4k"),
        ("wavespeed", 1024, 2, "2k"),
        ("wavespeed", 1024, 2.01, "4k"),
        ("wavespeed", 1024, 8, "8k"),
        ("wavespeed", 1024, 16, "8k"),
        ("wavespeed", 2048, 1, "2k"),
        ("wavespeed", 3000, 1.2, "4k"),
    ],
)
def test_value(command, width, factor, value):
    assert chosen(command, width, width // 2, factor) == value
    assert chosen(command, width // 2, width, factor) == value, "the longer side decides"


@pytest.mark.parametrize("command", ["novita-resolution", "wavespeed"])
def test_part_of_a_pixel_is_no_reason_for_a_larger_size(command):
    for side in range(500, 530):
        assert chosen(command, side, 100, 2048 / side) == "2k"
        assert chosen(command, side, 100, 2049.5 / side) == "4k"


@pytest.mark.parametrize("command", SIZED)
def test_other_parameters_are_taken_over(command):
    found = reaching(KINDS[command], 100, 100, 2, when_unavailable="run locally", attempt=3)
    assert (found.when_unavailable, found.attempt) == ("run locally", 3)
    assert type(found) is KINDS[command]


@pytest.mark.parametrize("command", SIZED)
def test_wrong_value_is_refused(command):
    with pytest.raises(InvalidInputError, match="when_unavailable"):
        reaching(KINDS[command], 100, 100, 2, when_unavailable="never")


@pytest.mark.parametrize("command", SIZED)
def test_every_service_names_the_parameter_of_its_size(command):
    kind = KINDS[command]
    item = next(item for item in kind.params() if item.name == kind.size_parameter)
    assert item.choices or item.maximum
    reached = [one.target(100, 100) for one in sizes(kind)]
    assert reached == sorted(reached), "its choices grow"
