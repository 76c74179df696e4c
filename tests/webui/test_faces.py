"""Faces in the panel: the WebUI's own restorers do them where it has some."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.webui.started import BOTH, array, part, photo
from upscale_bridge.local.extras import LocalExtras


class Restorer:
    """One of the WebUI's: bytes in, bytes out."""

    def __init__(self, name, seen, change, net="loaded"):
        self._name, self._seen, self._change = name, seen, change
        self.net, self.model_path = net, "models/" + name

    def name(self):
        return self._name

    def restore(self, np_image, **told):
        assert (np_image.dtype, np_image.ndim) == (np.uint8, 3)
        self._seen.append((self._name, told))
        if isinstance(self._change, Exception):
            raise self._change
        return (np_image * self._change).astype(np.uint8)


@pytest.fixture
def restorers(webui, monkeypatch):
    """Put restorers into the WebUI; return what they are told."""

    def put(change=0.5, **options):
        seen = []
        made = [Restorer(name, seen, change, **options) for name in ("GFPGAN", "CodeFormer")]
        nothing = SimpleNamespace(name=lambda: "None")
        monkeypatch.setattr(webui.shared, "face_restorers", [nothing, *made], raising=False)
        return seen

    return put


def values(**chosen):
    """Return the panel's values for Local Upscale Extras without an upscaler."""
    chosen = {"upscaler_1": "None", **chosen}
    fields = {
        part("panel").field(LocalExtras, item): chosen[item.name]
        for item in LocalExtras.params()
        if item.name in chosen
    }
    return {"enable": True, "operation": LocalExtras.title, **fields}


BOTH_ASKED = {
    "gfpgan_visibility": 1.0,
    "codeformer_visibility": 0.5,
    "codeformer_weight": 0.3,
}


@BOTH
def test_the_webuis_own_restorers_do_the_work(webui, restorers):
    seen, image = restorers(), photo(mode="RGBA")
    (done,) = webui.extras(image, panel=values(**BOTH_ASKED))
    assert seen == [("GFPGAN", {}), ("CodeFormer", {"w": 0.3})]
    found, before = array(done.image), array(image)
    assert abs(found[..., :3] - before[..., :3] * 0.5 * 0.75).max() <= 2
    assert np.array_equal(found[..., 3], before[..., 3])


def test_what_changes_nothing_is_told(webui, restorers):
    restorers(change=1)
    (done,) = webui.extras(photo(), panel=values(gfpgan_visibility=1.0))
    assert "GFPGANv1.4 changed nothing" in str(done.info)


def test_weights_that_the_webui_could_not_load_are_named(webui, restorers):
    restorers(net=None)
    with pytest.raises(part("host").UpscaleBridgeError) as caught:
        webui.extras(photo(), panel=values(gfpgan_visibility=1.0))
    assert "could not load its GFPGAN" in str(caught.value)
    assert "GFPGANv1.4.pth (GFPGANv1.4: licence Apache-2.0; 349 MB; from https://" in str(
        caught.value
    )
    assert "into models/GFPGAN" in str(caught.value)


def test_what_fails_in_the_webui_is_told(webui, restorers):
    restorers(change=OSError("no route to github.com"))
    with pytest.raises(part("host").UpscaleBridgeError, match=r"GFPGAN failed \(no route to git"):
        webui.extras(photo(), panel=values(gfpgan_visibility=1.0))


@pytest.mark.parametrize("installed", ["sdnext"], indirect=True)
def test_without_any_of_its_own_ours_are_needed(webui):
    webui.extras(photo(), panel=values(gfpgan_visibility=1.0))
    assert "YuNet is not on this machine" in webui.told[-1]


def test_other_models_than_the_webuis_are_ours(webui, restorers):
    seen = restorers()
    with pytest.raises(part("host").UpscaleBridgeError, match="YuNet is not on this machine"):
        webui.extras(photo(), panel=values(gfpgan_visibility=1.0, face_model="RestoreFormer"))
    assert seen == []
