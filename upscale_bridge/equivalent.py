"""A remote operation done on this machine: by our server, and elsewhere without the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .contract.enlarging import SHIPPED_MODEL, Enlarging
from .contract.operation import RemoteOperation
from .contract.plan import Enlarge, Faces
from .contract.shared import ANY_MODEL, DOWNLOAD, ERROR, RUN_LOCALLY
from .errors import (
    DownloadError,
    EngineError,
    ModelNotFoundError,
    StoppedError,
    UnsupportedModelError,
    UpscaleError,
    restated,
)
from .images.sizes import Size
from .local.catalogue import find_spec
from .local.operation import LocalUpscale
from .monitor import Monitor
from .result import Result

if TYPE_CHECKING:
    from torch import Tensor

    from .local.faces.restorer import FaceRestorer
    from .local.faces.run import FaceReport
    from .local.library import Library

Models = Mapping[str, str]
"""Which model that is here does the work of which one that was asked for."""
RunLocally = Callable[[LocalUpscale, "Tensor", Monitor, Size], Result]
"""Does a local operation to images, to exactly that size."""


def asked_for(operation: RemoteOperation) -> tuple[str, ...]:
    """Return the local names of the models that an operation asks for."""
    return tuple(name or SHIPPED_MODEL for name in operation.models())


def needed(operation: RemoteOperation, size: Size) -> tuple[str, ...]:
    """Return those that it needs for an image of this size."""
    return tuple(name or SHIPPED_MODEL for name in operation.plan(*size).models)


def itself(operation: Enlarging) -> LocalUpscale:
    """Return the local operation that a remote one asks for.

    Raises `InvalidInputError` for parameters that do not go together.
    """
    told = {item.name: getattr(operation, item.name) for item in Enlarging.params()}
    return LocalUpscale(**{**told, "download": False})


def advised(ways: list[str]) -> str:
    """Return the advice to choose one of `ways`, which begins in the middle of a sentence."""
    return f"set when_unavailable to {' or '.join(map(repr, ways))}"


def described(models: Models) -> str:
    """Return which models do the work, and in place of which others."""
    parts = []
    for name, model in models.items():
        parts.append(model if model == name else f"{model} in place of {name}")
        spec = find_spec(model)
        if model != name and spec is not None and not spec.commercial_use:
            parts[-1] += f" (licence {spec.licence}: no commercial use)"
    return " and ".join(parts)


class Equivalent:
    """Does remote operations with the models of one library; thread-safe."""

    def __init__(self, library: Library, run_locally: RunLocally, faces: FaceRestorer) -> None:
        self._library, self._run_locally, self._faces = library, run_locally, faces

    def works(self, operation: RemoteOperation, size: Size, when: str) -> bool:
        """Tell whether `when`, a choice of when_unavailable, would bring a result here."""
        if when == ERROR or operation.only_there():
            return False
        faces = operation.plan(*size).faces
        if self._faces.obstacle(faces) or (when != DOWNLOAD and self._faces.absent(faces)):
            return False
        absent = [name for name in needed(operation, size) if self._library.find(name) is None]
        if when == DOWNLOAD:
            return all(find_spec(name) is not None for name in absent)
        return not absent or when == ANY_MODEL

    def other_ways(self, operation: RemoteOperation, size: Size) -> list[str]:
        """Return the choices of when_unavailable that would bring a result, where its own does not.

        Where the first is enough it stands alone.
        """
        if self.works(operation, size, operation.when_unavailable):
            return []
        choices = (RUN_LOCALLY, DOWNLOAD, ANY_MODEL)
        ways = [when for when in choices if self.works(operation, size, when)]
        return ways[:1] if RUN_LOCALLY in ways else ways

    def candidates(self, name: str) -> list[str]:
        """Return what can do the work of `name` here, best first: itself, others, the shipped one.

        Others are known models for the same kind of picture; what a model is for that nobody knows
        cannot be told.
        """
        found = [name] if self._library.find(name) is not None else []
        spec = find_spec(name)
        if spec is not None:
            tags = set(spec.tags)
            paths = [entry.path for entry in self._library.entries() if entry.path is not None]
            known = [find_spec(path.name) or find_spec(path.stem) for path in paths]
            alike = [one for one in known if one not in (None, spec) and tags & set(one.tags)]
            alike.sort(key=lambda one: (-len(tags & set(one.tags)), one.scale != spec.scale))
            found += [one.name for one in alike]
        return [*dict.fromkeys([*found, SHIPPED_MODEL])]

    def choose(self, operation: RemoteOperation, size: Size, monitor: Monitor) -> Models:
        """Return the models that do an operation here, as its when_unavailable has it; none stands
        in for those that restore faces.

        Raises `ModelNotFoundError`, `EngineError` for a missing package, or `UnsupportedModelError`
        for a file that is no model.
        """
        when, models = operation.when_unavailable, {}
        faces = operation.plan(*size).faces
        if text := self._faces.obstacle(faces):
            raise EngineError(text)
        for name in self._faces.absent(faces):
            self._require(name, may_download=when == DOWNLOAD, ways=[DOWNLOAD])
        for name in needed(operation, size):
            if when == ANY_MODEL:
                models[name] = self._first_sound(name, monitor)
            else:
                self._require(name, may_download=when == DOWNLOAD)
                models[name] = name
        return models

    def advice(self, operation: RemoteOperation, size: Size) -> str:
        """Return the choices of when_unavailable that would bring a result now, empty for none."""
        ways = self.other_ways(operation, size)
        return advised(ways) if ways else ""

    def stand_in(
        self, operation: RemoteOperation, images: Tensor, monitor: Monitor, error: UpscaleError
    ) -> Result:
        """Do to `images` what the service cannot do because of `error`, and say so.

        Raises `error`, or what failed here, with more to say.
        """
        if operation.only_there():
            raise restated(
                error, f"{error} These settings ({operation.only_there()}) cannot be run locally."
            )
        try:
            models = self.choose(operation, (images.shape[2], images.shape[1]), monitor)
            running = described(models) or "the same"
            monitor.notice(
                f"{operation.title} is not available, running {running} here instead: {error}"
            )
            return self.carry_out(operation, images, monitor, models)
        except StoppedError:
            raise
        except UpscaleError as local:
            further = ""
            if isinstance(local, DownloadError):
                further = f" Or {advised([ANY_MODEL])}."
            text = f"{error} Running locally failed as well: {local}{further}"
            raise restated(local, text) from local

    def carry_out(
        self, operation: RemoteOperation, images: Tensor, monitor: Monitor, models: Models
    ) -> Result:
        """Do an operation to `images` [batch, height, width, 1 to 4 channels] with these models.

        Returns float32 [batch, height', width', channels], of the operation's target. Raises an
        `UpscaleError`, or what `monitor` raises.
        """
        from .local.plans import carry_out, upscale

        if isinstance(operation, Enlarging):
            local = itself(operation)
            size = local.target(images.shape[2], images.shape[1])
            return self._run_locally(local, images, monitor, size)
        may_download = operation.when_unavailable == DOWNLOAD

        def run(step: Enlarge, images: Tensor, monitor: Monitor, size: Size) -> Result:
            model = models[step.model or SHIPPED_MODEL]
            local = upscale(step, model, download=may_download)
            return self._run_locally(local, images, monitor, size)

        def restore(images: Tensor, faces: tuple[Faces, ...], monitor: Monitor) -> FaceReport:
            return self._faces.restore(images, faces, monitor, may_download=may_download)

        plan = operation.plan(images.shape[2], images.shape[1])
        plan = replace(plan, colours=operation.colour_match)
        self._faces.prepare(plan.faces, monitor, may_download=may_download)
        return carry_out(plan, images, monitor, run, restore)

    def _require(
        self, name: str, *, may_download: bool, ways: Sequence[str] = (DOWNLOAD, ANY_MODEL)
    ) -> None:
        """Raise `ModelNotFoundError`, which names `ways` on, unless a model is or comes here."""
        if self._library.find(name) is not None:
            return
        spec = self._library.known(name, otherwise=advised([ANY_MODEL]))
        if not may_download:
            raise ModelNotFoundError(
                f"{spec.name} is not on this machine. Fetch it by `upscale-bridge models download "
                f"{spec.name}` ({spec.terms}), or {advised([*ways])}."
            )

    def _first_sound(self, name: str, monitor: Monitor) -> str:
        """Return the first candidate whose file can be loaded; the shipped one always can."""
        *others, last = self.candidates(name)
        for other in others:
            try:
                self._library.load(other, monitor)
            except UnsupportedModelError as error:
                monitor.notice(str(error))
            else:
                return other
        return last
