"""The facts about known weights."""

import re
from urllib.parse import urlsplit

import pytest

from upscale_bridge.contract.enlarging import SHIPPED_MODEL
from upscale_bridge.local.catalogue import catalogue, find_spec
from upscale_bridge.local.scan import EXTENSIONS


def file_types(spec):
    """Return how its file's name may end; the one that finds faces is none of spandrel's."""
    return (".onnx",) if spec.use == "detector" else EXTENSIONS


SPECS = pytest.mark.parametrize("spec", catalogue(), ids=lambda spec: spec.name)


@SPECS
def test_url_is_https_to_a_weights_file(spec):
    url = urlsplit(spec.url)
    assert url.scheme == "https"
    assert url.hostname
    assert url.path.lower().endswith(file_types(spec))


@SPECS
def test_hash_and_size_are_facts_or_unknown(spec):
    assert spec.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", spec.sha256)
    assert spec.size is None or spec.size > 0


@SPECS
def test_file_name_is_a_plain_name(spec):
    assert spec.file_name.lower().endswith(file_types(spec))
    assert not set(spec.file_name) & set('/\\:*?"<>|')


@SPECS
def test_licence_scale_and_sources_are_stated(spec):
    assert spec.licence
    assert spec.about
    assert spec.sources
    assert spec.scale in (1, 2, 3, 4, 8)
    assert isinstance(spec.commercial_use, bool)
    assert isinstance(spec.mirror, bool)


@SPECS
def test_terms_warn_of_non_commercial_licences_only(spec):
    terms = str(spec.terms)
    assert ("non-commercial" in terms) != spec.commercial_use
    assert spec.licence in terms
    assert spec.url in terms
    assert ("MB" in terms) == (spec.size is not None)


@SPECS
def test_licences_that_forbid_commerce_are_marked(spec):
    forbids = re.search(r"-NC(-|$)", spec.licence)
    assert not (forbids and spec.commercial_use)


@SPECS
def test_every_name_finds_its_entry(spec):
    for name in (spec.name, spec.file_name, *spec.aliases):
        assert find_spec(name) is spec
        assert find_spec(name.upper()) is spec


def test_no_name_is_taken_twice():
    names = [name.casefold() for s in catalogue() for name in {s.name, s.file_name, *s.aliases}]
    assert len(names) == len(set(names))
    assert SHIPPED_MODEL.casefold() not in names


@pytest.mark.parametrize(
    ("name", "commercial"),
    [("RealESRGAN_x4plus_anime_6B", True), ("RealESRNet_x4plus", True), ("4x-UltraSharp", False)],
)
def test_promised_models_are_there(name, commercial):
    spec = find_spec(name)
    assert spec.commercial_use == commercial
    assert spec.scale == 4
    assert spec.sha256
    assert spec.size


def test_unknown_name_finds_nothing():
    assert find_spec("no such model") is None
    assert find_spec("") is None
