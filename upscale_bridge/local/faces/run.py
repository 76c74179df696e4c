"""One call that restores faces: each of them is found, brought upright, restored and put back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...contract.plan import Faces
from ...errors import OutOfMemoryError
from ...images.channels import alpha_channel
from ...monitor import Monitor
from ..devices import Memory, is_out_of_memory
from .align import Alignment, cut_out, put_back
from .detector import Detector, Face
from .finder import find_faces
from .model import FaceModel

HostRestorer = Callable[[Tensor, float], Tensor]
"""A host's own: from [height, width, 3] in 0..1, and CodeFormer's weight, to the same restored."""


@dataclass(frozen=True)
class FaceReport:
    """What became of the faces of all images."""

    by: tuple[str, ...]
    """Names of the models."""
    found: int | None
    """None where a host has found them itself, and does not tell how many."""
    restored: int
    left: tuple[str, ...]
    """One sentence about each face that was left as it was, without a full stop."""

    @property
    def summary(self) -> str:
        """A few words about it for the user."""
        by = " and ".join(self.by)
        if self.found is None:
            text = f"faces restored by {by}"
        elif not self.found:
            return "no faces found"
        else:
            faces = "face" if self.found == 1 else "faces"
            text = f"{self.restored} of {self.found} {faces} restored by {by}"
        return f"{text}, {len(self.left)} left ({self.left[0]})" if self.left else text

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "by": list(self.by),
            "found": self.found,
            "restored": self.restored,
            "left": list(self.left),
            "summary": self.summary,
        }


class FaceRun:
    """One call of `FaceRestorer.restore`: what it works with, and what it has to report."""

    def __init__(
        self,
        detector: Detector | None,
        models: Mapping[str, FaceModel],
        hosts: Mapping[str, HostRestorer],
        memory: Memory,
        images: int,
    ) -> None:
        self._detector, self._models, self._hosts = detector, models, hosts
        self._memory, self._several = memory, images > 1
        self._found, self._restored = 0, 0
        self._left: list[str] = []

    def report(self, wanted: Sequence[Faces]) -> FaceReport:
        """Return what became of all faces."""
        by = tuple(dict.fromkeys(one.model for one in wanted))
        found = None if self._detector is None else self._found
        return FaceReport(by, found, self._restored, tuple(self._left))

    def restore(self, index: int, image: Tensor, wanted: Sequence[Faces], monitor: Monitor) -> None:
        """Restore the faces of [height, width, channels] in place."""
        monitor.check()
        colours = image if alpha_channel(image.shape[-1]) is None else image[..., :-1]
        where = f"image {index + 1}, " if self._several else ""
        faces = self._faces(colours, where, monitor)
        failed: set[int] = set()
        total = max(1, sum(1 if one.model in self._hosts else len(faces) for one in wanted))
        done = 0
        for one in wanted:
            if one.model in self._hosts:
                self._by_host(colours, one, where)
                done += 1
                monitor.progress(done, total)
                continue
            for number, (face, alignment) in enumerate(faces):
                done += 1
                if number in failed:
                    continue
                monitor.status(f"face {number + 1} of {len(faces)} by {one.model}")
                if reason := self._by_model(colours, alignment, one, monitor):
                    failed.add(number)
                    self._left.append(f"{where}face at {face.place}: {reason}")
                monitor.progress(done, total)
        self._restored += len(faces) - len(failed)
        monitor.progress(total, total)

    def _faces(self, colours: Tensor, where: str, monitor: Monitor) -> list[tuple[Face, Alignment]]:
        """Return the faces that can be restored; others are noted."""
        if self._detector is None:
            return []
        monitor.status("looking for faces")
        aligned = []
        for face, lies in find_faces(self._detector, _three(colours), monitor.check):
            self._found += 1
            if isinstance(lies, str):
                self._left.append(f"{where}face at {face.place}: {lies}")
            else:
                aligned.append((face, lies))
        return aligned

    def _by_model(
        self, colours: Tensor, alignment: Alignment, wanted: Faces, monitor: Monitor
    ) -> str:
        """Restore one face; return why it is left, empty when it is not."""
        model = self._models[wanted.model]
        before = cut_out(_three(colours), alignment)
        ended: list[BaseException] = []

        def check() -> None:
            try:
                monitor.check()
            except BaseException as error:
                ended.append(error)
                raise

        try:
            after = model.restore(before, wanted.weight, self._memory, check)
        except (RuntimeError, ValueError, MemoryError) as error:
            if error in ended:
                raise
            if is_out_of_memory(error):
                raise OutOfMemoryError(
                    f"There is not enough memory to restore a face with {model.name} ({error}); "
                    "close other programs or models, or run on the CPU."
                ) from error
            return f"{model.name} failed ({' '.join(str(error).split())[:200]})"
        put_back(colours, before, after, alignment, wanted.visibility, monitor.check)
        return ""

    def _by_host(self, colours: Tensor, wanted: Faces, where: str) -> None:
        """Let the host restore the faces of an image, which it finds itself."""
        before = _three(colours)
        after = self._hosts[wanted.model](before, wanted.weight)
        if torch.equal(after, before):
            self._left.append(
                f"{where}{wanted.model} changed nothing: this program's own found no face or "
                "could not load its weights, its log tells which"
            )
            return
        change = (after - before) * wanted.visibility
        colours.add_(change.mean(dim=-1, keepdim=True) if colours.shape[-1] == 1 else change)
        colours.clamp_(0.0, 1.0)


def _three(colours: Tensor) -> Tensor:
    """Return colours [height, width, 1 or 3] with 3 channels; a view."""
    return colours.expand(-1, -1, 3)
