"""Cutting images into tiles."""

from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.images.resample import Span
from upscale_bridge.local.tiling import Tile, TilePlan

LENGTHS = st.integers(1, 700)
SIDES = st.integers(12, 300)


@st.composite
def plans(draw):
    return TilePlan(
        draw(LENGTHS),
        draw(LENGTHS),
        halo=draw(st.integers(0, 80)),
        align=draw(st.sampled_from((1, 2, 4, 8, 12, 16, 64))),
        minimum=draw(st.integers(1, 64)),
        blend=draw(st.sampled_from((0, 16))),
    )


def covered(tiles):
    """Count the area and check that no two tiles overlap."""
    rows = {}
    for tile in tiles:
        rows.setdefault((tile.y.start, tile.y.stop), []).append(tile.x)
    for spans in rows.values():
        assert all(left.stop == right.start for left, right in zip(spans, spans[1:], strict=False))
    bands = list(rows)
    assert all(above[1] == below[0] for above, below in zip(bands, bands[1:], strict=False))
    return sum(tile.area for tile in tiles)


@given(plans(), SIDES, st.integers(1, 8))
def test_cores_cover_every_pixel_once(plan, side, share):
    tiles = plan.cut(plan.whole(), side, share)
    assert covered(tiles) == plan.width * plan.height
    assert all(tile.x.length > 0 and tile.y.length > 0 for tile in tiles)


@given(plans(), SIDES, st.integers(1, 8))
def test_cores_are_at_most_the_side_rounded_up_to_the_grid(plan, side, share):
    largest = -(-side // plan.align) * plan.align
    assert all(tile.side <= largest for tile in plan.cut(plan.whole(), side, share))


@given(plans(), SIDES, st.integers(1, 8))
def test_cores_begin_on_the_grid(plan, side, share):
    for tile in plan.cut(plan.whole(), side, share):
        assert tile.x.start % plan.align == tile.y.start % plan.align == 0


@given(plans(), SIDES)
def test_core_lengths_differ_by_little(plan, side):
    tiles = plan.cut(plan.whole(), side)
    for axis in ("x", "y"):
        lengths = [getattr(tile, axis).length for tile in tiles]
        assert max(lengths) - min(lengths) < 2 * plan.align


@given(plans(), SIDES, st.data())
def test_cutting_a_core_again_covers_that_core(plan, side, data):
    tile = data.draw(st.sampled_from(plan.cut(plan.whole(), side)))
    parts = plan.cut(tile, max(1, side // 2))
    assert covered(parts) == tile.area
    assert min(part.x.start for part in parts) == tile.x.start
    assert max(part.y.stop for part in parts) == tile.y.stop


@given(plans(), SIDES)
def test_windows_reach_the_halo_or_the_edge(plan, side):
    for tile in plan.cut(plan.whole(), side):
        window = plan.window(plan.faded(tile))
        part = plan.faded(tile)
        for wide, core, length in (
            (window.x, part.x, plan.width),
            (window.y, part.y, plan.height),
        ):
            assert 0 <= wide.start <= max(0, core.start - plan.halo)
            assert min(length, core.stop + plan.halo) <= wide.stop <= length
            assert wide.start % plan.align == 0
            assert wide.length >= min(length, plan.minimum)


@given(plans(), SIDES)
def test_fading_reaches_only_left_and_up(plan, side):
    for tile in plan.cut(plan.whole(), side):
        part = plan.faded(tile)
        assert (part.x.stop, part.y.stop) == (tile.x.stop, tile.y.stop)
        assert part.x.start == max(0, tile.x.start - plan.blend)
        assert part.y.start == max(0, tile.y.start - plan.blend)


@given(st.integers(400, 700), st.integers(400, 700), st.integers(2, 4))
def test_shared_tiles_keep_all_workers_busy(width, height, share):
    plan = TilePlan(width, height, align=4)
    count = len(plan.cut(plan.whole(), 1000, share))
    assert count % share == 0


def test_image_below_the_side_is_one_tile():
    plan = TilePlan(100, 60, halo=8)
    assert plan.cut(plan.whole(), 100) == [Tile(Span(0, 100), Span(0, 60))]


def test_small_image_is_not_shared():
    plan = TilePlan(90, 90)
    assert len(plan.cut(plan.whole(), 512, 4)) == 1


def test_window_of_the_whole_is_the_whole():
    plan = TilePlan(101, 67, halo=9, align=8, minimum=64)
    assert plan.window(plan.whole()) == plan.whole()
