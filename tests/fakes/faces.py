"""A restorer of faces that is all there and finds two faces in each image."""

from upscale_bridge.local.faces.restorer import FaceRestorer
from upscale_bridge.local.faces.run import FaceReport


def install(monkeypatch):
    """Put it into all services; return the restorations that it was asked for.

    It makes images darker, by a quarter for each.
    """
    asked = []

    def restore(self, images, wanted, monitor, *, may_download=False):
        asked.extend(wanted)
        images.mul_(0.75 ** len(wanted))
        return FaceReport(tuple(one.model for one in wanted), 2, 1, ("face at 3, 4: it fails",))

    monkeypatch.setattr(FaceRestorer, "obstacle", lambda self, wanted: "")
    monkeypatch.setattr(FaceRestorer, "files", lambda self, wanted: ())
    monkeypatch.setattr(FaceRestorer, "prepare", lambda self, wanted, monitor, may_download: None)
    monkeypatch.setattr(FaceRestorer, "restore", restore)
    return asked
