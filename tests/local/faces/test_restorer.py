"""Faces of results, restored through the one door: what comes out, what is told, what is missing.

Models that do something known stand in for GFPGAN and CodeFormer; faces are found by the detector
itself.
"""

import json
import sys

import pytest
import torch

from upscale_bridge import LocalExtras, Monitor, Service
from upscale_bridge.errors import (
    EngineError,
    ModelNotFoundError,
    OutOfMemoryError,
    StoppedError,
    UnsupportedModelError,
)
from upscale_bridge.images.resample import resize
from upscale_bridge.local.faces import restorer
from upscale_bridge.local.library import Library
from upscale_bridge.preflight import advise

FILES = {"GFPGANv1.4": "GFPGANv1.4.pth", "CodeFormer": "codeformer.pth"}


@pytest.fixture
def folder(tmp_path, yunet):
    """A model folder with the detector and files of the names of the others."""
    path = tmp_path / "models"
    path.mkdir()
    for name in FILES.values():
        (path / name).write_bytes(b"weights")
    (path / yunet.name).write_bytes(yunet.read_bytes())
    return path


@pytest.fixture
def service(folder, monkeypatch, face_model):
    """Make a service whose models do what functions of pixels in -1..1 do."""
    monkeypatch.setattr(restorer, "has_extra_architectures", lambda: True)

    def make(gfpgan=lambda pixels: pixels, codeformer=lambda pixels: pixels, **options):
        models = {
            "GFPGANv1.4": face_model(gfpgan),
            "CodeFormer": face_model(codeformer, "CodeFormer", "CodeFormer"),
        }
        found = Service(lambda: [folder], **options)
        found.models = models
        monkeypatch.setattr(
            Library, "load_faces", lambda self, name, monitor, may_download: models[name]
        )
        return found

    return make


def faces(gfpgan=1.0, codeformer=0.0, weight=0.0, **values):
    shares = {"gfpgan_visibility": gfpgan, "codeformer_visibility": codeformer}
    return LocalExtras(
        **{"upscaler_1": "None", "codeformer_weight": weight, **shares, **values},
    )


def invert(pixels):
    return -pixels


def changed(result, image):
    """Return left, top, right and bottom of what is another than in the image."""
    rows, columns = torch.nonzero((result - image).abs().amax(dim=-1) > 0.01, as_tuple=True)
    return [int(one) for one in (columns.min(), rows.min(), columns.max(), rows.max())]


@pytest.mark.parametrize("upscaler", ["None", "Lanczos"])
def test_an_identity_changes_no_pixel(service, photo, upscaler):
    images = photo()[None]
    result = service().run(faces(1.0, 1.0, upscaler_1=upscaler), images)
    alone = service().run(LocalExtras(upscaler_1=upscaler), images)
    assert (result.images - alone.images).abs().max() < 2 / 255
    assert result.info["faces"] == {
        "by": ["GFPGANv1.4", "CodeFormer"],
        "found": 1,
        "restored": 1,
        "left": [],
        "summary": "1 of 1 face restored by GFPGANv1.4 and CodeFormer",
    }
    assert ", 1 of 1 face restored by GFPGANv1.4 and CodeFormer, " in result.summary
    assert json.dumps(result.info)


def test_only_the_face_is_changed(service, photo):
    image = photo()
    found = service(invert).run(faces(), image[None]).images[0]
    left, top, right, bottom = changed(found, image)
    assert 130 < left < 160 < 280 < right < 320
    assert 20 < top < 45 < 170 < bottom < 200
    core = found[80:150, 195:250]
    assert (core - (1 - image[80:150, 195:250])).abs().mean() < 2 / 255


def test_each_is_blended_by_its_visibility_one_after_the_other(service, photo):
    """The middle of the face is 0.2 brighter, then half as bright, as far as each is seen."""
    image = photo()[None] * 0.5
    plain, half = slice(90, 140), slice(200, 245)
    brighter = service(lambda pixels: pixels + 0.4, lambda pixels: (pixels + 1) / 2 - 1)
    found = brighter.run(faces(0.5, 0.25, weight=0.7), image).images
    wanted = (image + 0.5 * 0.2) * (0.75 + 0.25 * 0.5)
    assert (found - wanted)[0, plain, half].abs().mean() < 1 / 255
    assert brighter.models["CodeFormer"]._module.told == [{"weight": 0.7}]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_alpha_stays_and_gray_stays_gray(service, photo, channels):
    image = photo()
    alpha = torch.rand(512, 512, 1)
    gray = image.mean(dim=-1, keepdim=True)
    kinds = {1: gray, 2: torch.cat([gray, alpha], -1), 4: torch.cat([image, alpha], -1)}
    found = service(invert).run(faces(), kinds[channels][None]).images[0]
    assert found.shape == kinds[channels].shape
    colours = found[..., : 1 if channels < 4 else 3]
    assert changed(colours, gray if channels < 4 else image)[0] > 100
    if channels != 1:
        assert torch.equal(found[..., -1:], alpha)


def test_a_batch_of_several_one_and_no_faces(service, photo):
    batch = torch.full((3, 512, 512, 3), 0.5)
    batch[1] = photo()
    batch[2, :250, :250] = batch[2, 260:510, 260:510] = resize(photo(), 250, 250)
    result = service(invert).run(faces(), batch)
    assert result.info["faces"]["found"] == result.info["faces"]["restored"] == 3
    assert torch.equal(result.images[0], batch[0])
    none = service(invert).run(faces(), batch[:1])
    assert "no faces found" in none.summary


def test_a_face_that_fails_is_left_and_told(service, photo):
    def fail(pixels):
        return pixels * torch.nan if pixels.mean() < 0 else -pixels

    batch = torch.stack([photo(), photo() * 0.4])
    result = service(fail).run(faces(1.0, 1.0), batch)
    told = result.info["faces"]
    assert (told["found"], told["restored"]) == (2, 1)
    assert "1 of 2 faces restored by" in told["summary"]
    (reason,) = told["left"]
    assert reason.startswith("image 2, face at 22")
    assert "GFPGANv1.4 failed (what came out is no picture of a face)" in reason
    assert reason in result.summary
    assert torch.equal(result.images[1], batch[1])


def test_what_is_missing_is_told_before_anything_is_computed(folder, photo, monkeypatch):
    (folder / FILES["GFPGANv1.4"]).unlink()
    service, ran = Service(lambda: [folder]), []
    monkeypatch.setattr(type(service.engine), "upscale", lambda *_, **__: ran.append(1))
    wanted = faces(upscaler_1="UpscaleBridge-x4")
    with pytest.raises(ModelNotFoundError, match=r"models download GFPGANv1\.4`, put GFPGANv1"):
        service.run(wanted, photo()[None])
    (folder / "face_detection_yunet_2026may.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match="YuNet is not on this machine"):
        service.run(wanted, photo()[None])
    notes = advise(service, wanted, (512, 512)).notes
    assert [(one.level, one.way, one.name) for one in notes] == [
        ("missing", "download", "YuNet"),
        ("missing", "download", "GFPGANv1.4"),
    ]
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EngineError, match="pip install"):
        service.run(wanted, photo()[None])
    (note,) = advise(service, wanted, (512, 512)).notes
    assert (note.level, note.way) == ("missing", "")
    assert "OpenCV" in str(note.text)
    assert not ran
    assert advise(service, faces(0.0), (512, 512)).notes == ()


def test_codeformer_needs_its_package_and_its_licence_is_said(
    service, photo, monkeypatch, recorder
):
    shown = recorder()
    service().run(faces(0.0, 0.5), photo(0.25)[None], shown)
    assert shown.notices == ["CodeFormer has the licence LicenseRef-S-Lab-1.0: no commercial use."]
    assert "no commercial use" in str(advise(service(), faces(0, 0.5), None).notes)
    monkeypatch.setattr(restorer, "has_extra_architectures", lambda: False)
    with pytest.raises(
        EngineError, match=r"commercial use .*`pip install --no-deps spandrel_extra"
    ):
        service().run(faces(0.0, 0.5), photo(0.25)[None])
    assert service().run(faces(0.5), photo(0.25)[None]).info["faces"]["restored"] == 1


def test_another_detector_is_not_given_to_opencv(service, folder, photo):
    (folder / "face_detection_yunet_2026may.onnx").write_bytes(b"something else")
    with pytest.raises(UnsupportedModelError, match="it was not read"):
        service().run(faces(), photo()[None])


def test_a_stop_ends_it_within_a_face_and_the_next_run_works(service, photo):
    class Watch(Monitor):
        lines, stop = [], True

        def status(self, text):
            self.lines.append(text)

        def check(self):
            if self.stop and self.lines[-1:] == ["face 1 of 1 by GFPGANv1.4"]:
                raise StoppedError

    watch, made = Watch(), service(invert)
    with pytest.raises(StoppedError):
        made.run(faces(), photo(0.5)[None], watch)
    watch.stop = False
    assert made.run(faces(), photo(0.5)[None], watch).info["faces"]["restored"] == 1


def test_own_errors_of_a_monitor_come_through_and_memory_is_named(service, photo):
    class Broken(Monitor):
        def status(self, text):
            self.text = text

        def check(self):
            if "by GFPGAN" in getattr(self, "text", ""):
                raise RuntimeError("the host is gone")

    with pytest.raises(RuntimeError, match="the host is gone"):
        service().run(faces(), photo(0.5)[None], Broken())

    def full(pixels):
        raise MemoryError("no more")

    with pytest.raises(OutOfMemoryError, match=r"restore a face with GFPGANv1\.4"):
        service(full).run(faces(), photo(0.5)[None])


def test_progress_rises_over_all_of_it(service, photo):
    class Watch(Monitor):
        def __init__(self):
            self.seen = []

        def progress(self, done, total):
            self.seen.append(done / total)

    watch = Watch()
    batch = photo(0.25).expand(2, -1, -1, -1)
    by = {"upscaler_1": "UpscaleBridge-x4", "upscaling_resize": 1.0}
    service().run(faces(1.0, 1.0, **by), batch, watch)
    assert watch.seen == sorted(watch.seen)
    assert {0.5, 0.625, 0.75, 0.875, 1.0} <= set(watch.seen)


def test_a_hosts_own_restorer_takes_the_place(tmp_path, photo):
    """It finds faces itself: nothing of ours is needed, and nothing is silent."""
    told = []

    def own(image, weight):
        told.append(weight)
        return image if len(told) > 2 else (image * 0.5)

    service = Service(list, face_restorers=lambda: {"GFPGANv1.4": own, "CodeFormer": own})
    image = torch.cat([photo(0.1), torch.rand(51, 51, 1)], dim=-1)[None]
    result = service.run(faces(0.5, 0.5, weight=0.3), image)
    assert told == [0.0, 0.3]
    assert torch.allclose(result.images[..., :3], image[..., :3] * 0.75 * 0.75, atol=1e-6)
    assert torch.equal(result.images[..., 3], image[..., 3])
    assert result.info["faces"]["summary"] == "faces restored by GFPGANv1.4 and CodeFormer"
    assert "GFPGANv1.4 changed nothing" in service.run(faces(), image).summary
    assert service.faces.files(faces().faces()) == ()
    assert advise(service, faces(1.0, 1.0), None).notes == ()
