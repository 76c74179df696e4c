"""The one door: every host turns its request into an Operation and hands it in here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .contract.operation import RemoteOperation
from .local.extras import LocalExtras
from .local.operation import LocalUpscale
from .monitor import Monitor
from .params import Operation
from .result import Result
from .storage.keys import Keys
from .storage.settings import Settings, load_settings

if TYPE_CHECKING:
    from torch import Tensor

    from .contract.plan import Enlarge, Faces
    from .equivalent import Equivalent
    from .images.sizes import Size
    from .local.devices import Memory
    from .local.engine import Engine
    from .local.faces.restorer import FaceRestorer
    from .local.faces.run import FaceReport, HostRestorer
    from .local.library import Library
    from .local.model import Model
    from .remote.client import Client, Outlook
    from .remote.run import ResumeTask
    from .remote.videos import Take, VideoResult


class Service:
    """Runs operations for one host; thread-safe. torch is imported when first needed."""

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]] | None = None,
        memory: Callable[[], Memory] | None = None,
        keys: Keys | None = None,
        settings: Callable[[], Settings] = load_settings,
        face_restorers: Callable[[], Mapping[str, HostRestorer]] = dict,
    ) -> None:
        """`folders` lists the host's model folders, downloads go into the first; `memory` makes
        the host's memory policy; `keys` reads the host's key file; `settings` asks for its
        settings. Without them the user's data folder and this process's own. `face_restorers` are
        those that the host runs itself, by the catalogue's names of the models."""
        self._folders = folders
        self._memory = memory
        self._keys = keys
        self._settings = settings
        self._face_restorers = face_restorers
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._engine: Engine | None = None
        self._faces: FaceRestorer | None = None
        self._client: Client | None = None
        self._wrapped: tuple[object, Model] | None = None

    @property
    def library(self) -> Library:
        """All models of this host."""
        from .local.library import Library

        with self._lock:
            self._library = self._library or Library(self._folders)
            return self._library

    @property
    def engine(self) -> Engine:
        """What runs them."""
        from .local.engine import Engine

        with self._lock:
            self._engine = self._engine or Engine(self._memory() if self._memory else None)
            return self._engine

    @property
    def faces(self) -> FaceRestorer:
        """What restores faces."""
        from .local.faces.restorer import FaceRestorer

        library = self.library
        with self._lock:
            self._faces = self._faces or FaceRestorer(
                library, lambda: self.engine.memory, self._face_restorers
            )
            return self._faces

    @property
    def client(self) -> Client:
        """What speaks to remote services."""
        from .remote.client import Client

        with self._lock:
            self._client = self._client or Client(self._keys, self._settings)
            return self._client

    @property
    def equivalent(self) -> Equivalent:
        """What does remote operations here."""
        from .equivalent import Equivalent

        return Equivalent(self.library, self._run_locally, self.faces)

    def run(
        self,
        operation: Operation,
        images: Tensor,
        monitor: Monitor | None = None,
        *,
        descriptor: object = None,
        size: Size | None = None,
    ) -> Result:
        """Do `operation` to `images` [batch, height, width, 1 to 4 channels], any float dtype.

        `descriptor` is a model that the host's own loader (spandrel) loaded; it takes the place
        of a local operation's model; `size` (width, height) is that of a local operation's exact
        result, for hosts that round it. Raises an `UpscaleError`, or what `monitor` raises:
        `InvalidInputError` before anything else when `images` are not what `take_images` takes,
        `TypeError` for a descriptor or size that a remote operation has no use for.
        """
        from .local.torch_state import own_state

        with own_state():
            return self._run(operation, images, monitor or Monitor(), descriptor, size)

    def _run(
        self,
        operation: Operation,
        images: Tensor,
        monitor: Monitor,
        descriptor: object,
        size: Size | None,
    ) -> Result:
        from .local.tensors import take_images
        from .local.torch_state import lasting

        images = take_images(images)
        if isinstance(operation, RemoteOperation):
            from .remote.run import run_remote

            if descriptor is not None or size is not None:
                raise TypeError("a descriptor or a size is for local operations only")
            with lasting():
                return run_remote(self.client, operation, images, monitor, self.equivalent)
        if isinstance(operation, LocalExtras):
            if descriptor is not None or size is not None:
                raise TypeError("extras name their models and their size themselves")
            return self._extras(operation, images, monitor)
        if not isinstance(operation, LocalUpscale):
            raise TypeError(f"unknown operation {type(operation).__name__}")
        return self._upscale(operation, images, monitor, descriptor, size)

    def _run_locally(
        self, operation: LocalUpscale, images: Tensor, monitor: Monitor, size: Size
    ) -> Result:
        """Do a local operation within another one."""
        from .local.torch_state import own_state

        with own_state():
            return self._upscale(operation, images, monitor, None, size)

    def _extras(self, operation: LocalExtras, images: Tensor, monitor: Monitor) -> Result:
        from .local.plans import carry_out, upscale

        started, before = time.monotonic(), (images.shape[2], images.shape[1])

        def run(step: Enlarge, images: Tensor, monitor: Monitor, size: Size) -> Result:
            local = upscale(step, step.model, download=operation.download)
            return self._upscale(local, images, monitor, None, size)

        def restore(images: Tensor, faces: tuple[Faces, ...], monitor: Monitor) -> FaceReport:
            return self.faces.restore(images, faces, monitor, may_download=operation.download)

        self.faces.prepare(operation.faces(), monitor, may_download=operation.download)
        done = carry_out(operation.plan(*before), images, monitor, run, restore)
        size = done.images.shape[2], done.images.shape[1]
        seconds = round(time.monotonic() - started, 3)
        info = {**done.info, "input_size": before, "size": size, "seconds": seconds}
        sizes = f"{before[0]} x {before[1]} -> {size[0]} x {size[1]}"
        parts = (f"{sizes} with {info['model']}", done.summary if operation.faces() else "")
        return Result(done.images, info, f"{', '.join(filter(None, parts))}, {seconds:.1f} s")

    def _upscale(
        self,
        operation: LocalUpscale,
        images: Tensor,
        monitor: Monitor,
        descriptor: object,
        size: Size | None,
    ) -> Result:
        from .images.colours import match_batch
        from .images.resample import middle

        model = (
            self.library.load(operation.model, monitor, may_download=operation.download)
            if descriptor is None
            else self._wrap(descriptor)
        )
        other, share = operation.mix()
        if other:
            second = self.library.load(other, monitor, may_download=operation.download)
            model = self.library.mixed(model, second, share)
        pixels, report = self.engine.upscale(model, images, operation, monitor, size)
        shown = middle(images, *operation.window(images.shape[2], images.shape[1]))
        match_batch(pixels, shown, operation.colour_match, monitor.check)
        return Result(pixels, report.as_dict(), report.summary)

    def outlooks(
        self, operation: RemoteOperation, images: Tensor, monitor: Monitor | None = None
    ) -> list[Outlook]:
        """Tell what `run` would do for each image: submit (new), resume or reuse; sends nothing.

        Raises an `UpscaleError` where `run` would before it sends anything.
        """
        from .local.tensors import take_images
        from .local.torch_state import lasting, own_state
        from .remote.run import outlooks

        with own_state(), lasting():
            return outlooks(self.client, operation, take_images(images), monitor or Monitor())

    def resume(self, operation: ResumeTask, monitor: Monitor | None = None) -> Result:
        """Return the result of a remote task that was submitted before; costs nothing."""
        from .local.torch_state import lasting, own_state
        from .remote.run import resume

        with own_state(), lasting():
            return resume(self.client, operation, monitor or Monitor())

    def run_video(
        self, operation: RemoteOperation, source: Path, take: Take, monitor: Monitor | None = None
    ) -> VideoResult:
        """Do a remote operation on videos to the file `source`; see `remote.videos.run_video`."""
        from .remote.videos import run_video

        return run_video(self.client, operation, source, take, monitor or Monitor())

    def video_outlook(
        self, operation: RemoteOperation, source: Path, monitor: Monitor | None = None
    ) -> tuple[Outlook, Size]:
        """Tell what `run_video` would do, and (width, height) of the video; sends nothing."""
        from .remote.videos import video_outlook

        return video_outlook(self.client, operation, source, monitor or Monitor())

    def resume_video(
        self, operation: ResumeTask, take: Take, monitor: Monitor | None = None
    ) -> VideoResult:
        """Hand the result of a video's task to `take`; costs nothing."""
        from .remote.videos import resume_video

        return resume_video(self.client, operation, take, monitor or Monitor())

    def _wrap(self, descriptor: object) -> Model:
        from .local.loader import wrap_descriptor

        with self._lock:
            if self._wrapped is None or self._wrapped[0] is not descriptor:
                self._wrapped = (descriptor, wrap_descriptor(descriptor, "connected model"))
            return self._wrapped[1]


@lru_cache(maxsize=1)
def default_service() -> Service:
    """Return the service of this process for callers without a host."""
    return Service()


def run(operation: Operation, images: Tensor, monitor: Monitor | None = None) -> Result:
    """Do `operation` to `images` with the models of the user's data folder; see `Service.run`."""
    return default_service().run(operation, images, monitor)
