"""Blueprints that ComfyUI 0.27 and later offers among its own: subgraphs around our nodes."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "subgraphs"
BLUEPRINTS = sorted(FOLDER.glob("*.json"))
INPUT, OUTPUT = -10, -20  # what stands in a subgraph for what is around it


def test_there_is_one_for_each_of_the_usual_ways():
    names = {path.stem for path in BLUEPRINTS}
    assert names == {"Upscale image to 4K", "Upscale video", "Remote with local fallback"}


@pytest.fixture(params=BLUEPRINTS, ids=lambda path: path.stem)
def blueprint(request):
    """A blueprint: the node that stands for it, and what is inside."""
    found = json.loads(request.param.read_text("utf-8"))
    (outer,), (inner,) = found["nodes"], found["definitions"]["subgraphs"]
    assert outer["type"] == inner["id"]
    assert outer["title"] == inner["name"] == request.param.stem
    return outer, inner


def test_it_says_what_it_does_and_where_it_stands(blueprint):
    _, inner = blueprint
    assert inner["category"].endswith(" Tools/Upscale")
    assert inner["description"].endswith(".")
    assert inner["extra"]["BlueprintSearchAliases"]


def test_what_is_around_it_sees_its_inputs_and_outputs(blueprint):
    outer, inner = blueprint
    for side in ("inputs", "outputs"):
        told = [(one["name"], one["type"]) for one in outer[side]]
        assert told == [(one["name"], one["type"]) for one in inner[side]]
    shown = [one["name"] for one in outer["inputs"] if "widget" in one]
    assert outer["properties"]["proxyWidgets"] == [["-1", name] for name in shown]
    assert len(outer["widgets_values"]) == len(shown)


def test_its_links_lead_from_outputs_to_inputs(blueprint):
    _, inner = blueprint
    nodes = {node["id"]: node for node in inner["nodes"]}
    for link in inner["links"]:
        origin, target = nodes.get(link["origin_id"]), nodes.get(link["target_id"])
        if origin is None:
            assert link["origin_id"] == INPUT
            assert link["id"] in inner["inputs"][link["origin_slot"]]["linkIds"]
        else:
            assert link["id"] in origin["outputs"][link["origin_slot"]]["links"]
        if target is None:
            assert link["target_id"] == OUTPUT
            assert link["id"] in inner["outputs"][link["target_slot"]]["linkIds"]
        else:
            assert target["inputs"][link["target_slot"]]["link"] == link["id"]
    told = {one["link"] for node in inner["nodes"] for one in node["inputs"]} - {None}
    assert told <= {link["id"] for link in inner["links"]}


def test_our_nodes_in_it_have_all_their_values(blueprint, pack):
    outer, inner = blueprint
    ours = [node for node in inner["nodes"] if node["type"] in pack.NODE_CLASS_MAPPINGS]
    assert ours
    for node in ours:
        operation = pack.NODE_CLASS_MAPPINGS[node["type"]].OPERATION
        names = [one["name"] for one in node["inputs"] if "widget" in one]
        assert names == [item.name for item in operation.params()]
        values = dict(zip(names, node["widgets_values"], strict=True))
        assert operation(**values)
        shown = [one["name"] for one in outer["inputs"] if "widget" in one]
        for name, value in zip(shown, outer["widgets_values"], strict=True):
            assert values[name] == value, "both say the same"


def test_nothing_in_it_is_private(blueprint):
    text = json.dumps(blueprint)
    assert not [word for word in ("http", "api_key", "Bearer", "/home/") if word in text]
