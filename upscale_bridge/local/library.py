"""Which models there are: shipped, lying in the user's model folders, or known and downloadable.

Names are looked up in a listing of the folders and never joined to a path, so that no name can
lead out of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ..contract.enlarging import SHIPPED_MODEL
from ..errors import ModelNotFoundError, UnsupportedModelError
from ..monitor import Monitor
from ..network.downloads import download
from ..storage.settings import home, make_folder
from .catalogue import ModelSpec, catalogue, find_spec
from .loader import EXTENSIONS, load_model
from .model import Model, mixed
from .scan import Scan, scan_folder, stem_of, walk

SHIPPED_FOLDER = Path(__file__).with_name("weights")

_FOREIGN = (
    *(".bin", ".onnx", ".param", ".pkl", ".pickle", ".h5", ".keras", ".tflite", ".pb", ".npz"),
    *(".engine", ".trt", ".gguf", ".mlmodel", ".mnn", ".pt2", ".ptl", ".jit", ".msgpack", ".tar"),
    *(".zip", ".rar", ".7z", ".chn", ".model", ".torchscript"),
)
"""Formats in which models are passed on, and that are not read."""

_OTHERWISE = f"choose {SHIPPED_MODEL}, which is always there"

_Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class ModelEntry:
    """One model that a user may choose."""

    name: str
    """Path below its folder with slashes, without the extension."""
    origin: Literal["shipped", "found", "download"]
    path: Path | None
    """None while it has to be downloaded."""
    spec: ModelSpec | None
    """What is known about it, if anything."""


def own_model_folder() -> Path:
    """Return the folder for models in the user's data folder."""
    return home() / "models"


class Library:
    """All models of a host; thread-safe, keeps those loaded that were used last."""

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]] | None = None,
        keep: int = 2,
        idle_seconds: float = 600.0,
    ) -> None:
        """`folders` lists the host's model folders; downloads go into the first.

        At most `keep` models stay loaded, none longer than `idle_seconds` after its last use.
        """
        self._folders = folders or (lambda: [own_model_folder()])
        self._keep = keep
        self._idle_seconds = idle_seconds
        self._scans: dict[Path, Scan] = {}
        self._loaded: dict[Path, tuple[_Identity, Model]] = {}
        self._mix: tuple[Model, Model, float, Model] | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._fetching = threading.Lock()

    def entries(self) -> list[ModelEntry]:
        """Return every model once: shipped, then found by name, then what can be downloaded."""
        files = self._files()
        found = [
            ModelEntry(name, "shipped" if path.parent == SHIPPED_FOLDER else "found", path, spec)
            for name, path in files.items()
            for spec in [find_spec(path.name)]
        ]
        present = {path.name.casefold() for path in files.values()}
        missing = [
            ModelEntry(spec.name, "download", None, spec)
            for spec in catalogue()
            if spec.file_name.casefold() not in present
        ]
        return found + missing

    def find(self, name: str) -> Path | None:
        """Return the file of a model, by its name with or without extension, or by an alias."""
        name = name.replace("\\", "/")
        for below, path in self._walk():
            if below.casefold() == name.casefold():
                return path
        files = self._files()
        wanted = stem_of(name)
        spec = find_spec(name) or find_spec(wanted)
        stems = [wanted, *([Path(spec.file_name).stem] if spec else [])]
        for stem in stems:
            for listed, path in files.items():
                if stem.casefold() in (listed.casefold(), listed.rsplit("/", 1)[-1].casefold()):
                    return path
        return self._linked(name)

    def _linked(self, name: str) -> Path | None:
        """Return the file that a name means which leads through a link to a listed folder."""
        for folder in map(Path, self._folders()):
            for path in walk(folder, once=False):
                below = path.relative_to(folder).as_posix()
                if name.casefold() in (below.casefold(), stem_of(below).casefold()):
                    return path
        return None

    def load(self, name: str, monitor: Monitor, *, may_download: bool = False) -> Model:
        """Return the model called `name`, loaded; raise an `EngineError` that says what to do."""
        path = self.find(name)
        if path is None:
            path = self._download(name, monitor, may_download)
        with self._lock:
            # Taken before the file is read: one that is replaced meanwhile is loaded again.
            identity = _identity(path)
            known, model = self._loaded.pop(path, (None, None))
            if model is None or known != identity:
                monitor.status(f"loading {path.stem}")
                model = load_model(path)
            self._loaded[path] = identity, model
            while len(self._loaded) > self._keep:
                self._loaded.pop(next(iter(self._loaded)))
            self._release_later()
        return model

    def mixed(self, first: Model, second: Model, share: float) -> Model:
        """Return the model between two, made once; raise `UnsupportedModelError` if they differ."""
        with self._lock:
            if self._mix is None or self._mix[:3] != (first, second, share):
                self._mix = first, second, share, mixed(first, second, share)
            return self._mix[3]

    def is_loaded(self, name: str) -> bool:
        """Tell whether a model is in memory."""
        return self.find(name) in self._loaded

    def release(self) -> None:
        """Forget all loaded models."""
        with self._lock:
            self._loaded.clear()
            self._mix = None

    def fetch(self, spec: ModelSpec, monitor: Monitor) -> Path:
        """Download a known model into the first folder and return its path.

        Whoever asks for it meanwhile waits, and gets the same file.
        """
        while not self._fetching.acquire(timeout=0.1):
            monitor.check()
        try:
            found = self.find(spec.name)
            if found is not None:
                return found
            folder = make_folder(Path(self._folders()[0]))
            monitor.notice(str(spec.terms))
            target = folder / spec.file_name
            download(spec.url, target, monitor, size=spec.size, sha256=spec.sha256)
            return target
        finally:
            self._fetching.release()

    def known(self, name: str, otherwise: str = _OTHERWISE) -> ModelSpec:
        """Return the catalogue's entry called `name`.

        Raises `ModelNotFoundError`, which ends with `otherwise`, what else the user may do, or
        `UnsupportedModelError` for a file of that name in a format that is not read.
        """
        spec = find_spec(name) or find_spec(stem_of(name))
        if spec is None:
            self._refuse_unreadable(name)
            close = get_close_matches(name, [entry.name for entry in self.entries()], n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise ModelNotFoundError(
                f"There is no model {name!r}.{hint} Put its file into {self._places()}, "
                f"or {otherwise}."
            )
        return spec

    def _refuse_unreadable(self, name: str) -> None:
        """Raise `UnsupportedModelError` if a model of that name has a format of another program."""
        wanted = name.replace("\\", "/").casefold()
        for folder in map(Path, self._folders()):
            for path in walk(folder, _FOREIGN):
                for below in (path.relative_to(folder).as_posix(), path.name):
                    if wanted in (below.casefold(), below[: -len(path.suffix)].casefold()):
                        raise UnsupportedModelError(
                            f"{below} is there, but its format cannot be read; get the model as "
                            f"{', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}."
                        )

    def _download(self, name: str, monitor: Monitor, may_download: bool) -> Path:
        spec = self.known(name)
        if not may_download:
            raise ModelNotFoundError(
                f"{spec.name} is not on this machine. Switch its download on ({spec.terms}), "
                f"run `upscale-bridge models download {spec.name}`, put {spec.file_name} into "
                f"{self._places()}, or {_OTHERWISE}."
            )
        return self.fetch(spec, monitor)

    def _places(self) -> str:
        """Return where a file may be put: hosts have many folders, and the first is as good."""
        first, *others = self._folders()
        return (
            f"{first} (or another of the {len(others) + 1} model folders)" if others else str(first)
        )

    def _files(self) -> dict[str, Path]:
        listed: dict[str, Path] = {}
        for below, path in self._walk():
            listed.setdefault(stem_of(below), path)
        return listed

    def _walk(self) -> Iterator[tuple[str, Path]]:
        """Yield files and their paths below a folder, the file that is to be preferred first."""
        for folder in [SHIPPED_FOLDER, *map(Path, self._folders())]:
            scan = self._scans.get(folder)
            if scan is None or not scan.holds():
                scan = self._scans[folder] = scan_folder(folder)
            yield from scan.files.items()

    def _release_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_seconds, self.release)
        self._timer.daemon = True
        self._timer.start()


def _identity(path: Path) -> _Identity:
    """Return what changes when a file is replaced or written."""
    try:
        found = path.stat()
    except OSError as error:
        raise ModelNotFoundError(
            f"{path.name} cannot be read ({error.strerror}); it has been moved or removed just now."
        ) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
