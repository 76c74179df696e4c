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
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from ..contract.enlarging import SHIPPED_MODEL
from ..errors import ModelNotFoundError, UnsupportedModelError
from ..monitor import Monitor
from ..network.downloads import download
from ..storage.settings import home, make_folder
from .catalogue import ModelSpec, catalogue, find_spec
from .scan import EXTENSIONS, Scan, scan_folder, stem_of, walk

if TYPE_CHECKING:
    from .faces.model import FaceModel
    from .model import Model

SHIPPED_FOLDER = Path(__file__).with_name("weights")

_FOREIGN = (
    *(".bin", ".onnx", ".param", ".pkl", ".pickle", ".h5", ".keras", ".tflite", ".pb", ".npz"),
    *(".engine", ".trt", ".gguf", ".mlmodel", ".mnn", ".pt2", ".ptl", ".jit", ".msgpack", ".tar"),
    *(".zip", ".rar", ".7z", ".chn", ".model", ".torchscript"),
)
"""Formats in which models are passed on, and that are not read."""

_FACE_FOLDERS = ("facerestore_models", "GFPGAN", "Codeformer")
"""Where hosts keep models that restore faces, beside their folders of upscalers."""

_OTHERWISE = f"choose {SHIPPED_MODEL}, which is always there"

_Identity = tuple[int, int, int, int, int]
_Loaded = TypeVar("_Loaded")


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


class _Kept(Generic[_Loaded]):
    """What was loaded of files, as long as these are the same; those used last are kept."""

    def __init__(self, most: int, read: Callable[[Path], _Loaded]) -> None:
        self._most, self._read = most, read
        self._found: dict[Path, tuple[_Identity, _Loaded]] = {}

    def get(self, path: Path, monitor: Monitor) -> _Loaded:
        """Return what a file holds."""
        # Taken before the file is read: one that is replaced meanwhile is loaded again.
        identity = _identity(path)
        known, loaded = self._found.pop(path, (None, None))
        if loaded is None or known != identity:
            monitor.status(f"loading {path.stem}")
            loaded = self._read(path)
        self._found[path] = identity, loaded
        while len(self._found) > self._most:
            self._found.pop(next(iter(self._found)))
        return loaded

    def clear(self) -> None:
        """Forget everything."""
        self._found.clear()

    def __contains__(self, path: object) -> bool:
        return path in self._found


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
        self._idle_seconds = idle_seconds
        self._scans: dict[Path, Scan] = {}
        self._models = _Kept(keep, _load)
        self._face_models = _Kept(keep, _load_faces)
        self._mix: tuple[Model, Model, float, Model] | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._fetching = threading.Lock()

    def entries(self) -> list[ModelEntry]:
        """Return every model that enlarges images once: shipped, then found by name, then what can
        be downloaded."""
        files = self._files()
        found = [
            ModelEntry(name, "shipped" if path.parent == SHIPPED_FOLDER else "found", path, spec)
            for name, path in files.items()
            for spec in [find_spec(path.name)]
            if spec is None or spec.use == "upscale"
        ]
        present = {path.name.casefold() for path in files.values()}
        missing = [
            ModelEntry(spec.name, "download", None, spec)
            for spec in catalogue()
            if spec.use == "upscale" and spec.file_name.casefold() not in present
        ]
        return found + missing

    def face_entries(self) -> list[ModelEntry]:
        """Return the known models that find or restore faces, each once."""
        found = [(spec, self.find(spec.name)) for spec in catalogue() if spec.use != "upscale"]
        return [
            ModelEntry(spec.name, "found" if path else "download", path, spec)
            for spec, path in found
        ]

    def find(self, name: str) -> Path | None:
        """Return the file of a model, by its name with or without extension, or by an alias."""
        name = name.replace("\\", "/")
        for below, path in self._walk():
            if below.casefold() == name.casefold():
                return path
        files = self._files()
        wanted = stem_of(name)
        spec = find_spec(name) or find_spec(wanted)
        if spec is not None and spec.use != "upscale" and (kept := self._for_faces(spec)):
            return kept
        others = [] if spec is None else [spec.file_name, *spec.aliases]
        stems = [wanted, *(stem_of(one) for one in others if one.lower().endswith(EXTENSIONS))]
        for stem in stems:
            for listed, path in files.items():
                if stem.casefold() in (listed.casefold(), listed.rsplit("/", 1)[-1].casefold()):
                    return path
        return self._linked(name)

    def _for_faces(self, spec: ModelSpec) -> Path | None:
        """Return the file of a known model in a model folder or one of `_FACE_FOLDERS`."""
        names = [one for one in (spec.file_name, *spec.aliases) if Path(one).suffix]
        folders = [Path(folder) for folder in self._folders()]
        folders += [folder.with_name(name) for folder in folders for name in _FACE_FOLDERS]
        paths = (folder / name for folder in folders for name in names)
        return next((path for path in paths if path.is_file()), None)

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
        path = self.path(name, monitor, may_download=may_download)
        with self._lock:
            model = self._models.get(path, monitor)
            self._release_later()
        return model

    def load_faces(self, name: str, monitor: Monitor, *, may_download: bool = False) -> FaceModel:
        """Return the model called `name` that restores faces; see `load`."""
        path = self.path(name, monitor, may_download=may_download)
        with self._lock:
            model = self._face_models.get(path, monitor)
            self._release_later()
        return model

    def path(self, name: str, monitor: Monitor, *, may_download: bool = False) -> Path:
        """Return the file of the model called `name`, or raise an `EngineError`; see `load`."""
        return self.find(name) or self._download(name, monitor, may_download)

    def mixed(self, first: Model, second: Model, share: float) -> Model:
        """Return the model between two, made once; raise `UnsupportedModelError` if they differ."""
        from .model import mixed

        with self._lock:
            if self._mix is None or self._mix[:3] != (first, second, share):
                self._mix = first, second, share, mixed(first, second, share)
            return self._mix[3]

    def is_loaded(self, name: str) -> bool:
        """Tell whether a model is in memory."""
        return self.find(name) in self._models

    def release(self) -> None:
        """Forget all loaded models."""
        with self._lock:
            self._models.clear()
            self._face_models.clear()
            self._mix = None

    def fetch(self, spec: ModelSpec, monitor: Monitor) -> Path:
        """Download a known model and return its path; whoever asks for it meanwhile waits.

        It goes into the first folder, or into the last, which is the program's own, if it enlarges
        no images: hosts offer all that lies in the others as upscalers.
        """
        while not self._fetching.acquire(timeout=0.1):
            monitor.check()
        try:
            found = self.find(spec.name)
            if found is not None:
                return found
            folders = self._folders()
            folder = make_folder(Path(folders[0 if spec.use == "upscale" else -1]))
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
            otherwise = _OTHERWISE if spec.use == "upscale" else "leave faces as they are"
            raise ModelNotFoundError(
                f"{spec.name} is not on this machine. Switch its download on ({spec.terms}), "
                f"run `upscale-bridge models download {spec.name}`, put {spec.file_name} into "
                f"{self._places()}, or {otherwise}."
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


def _load(path: Path) -> Model:
    from .loader import load_model  # with torch, which who only lists models has no need of

    return load_model(path)


def _load_faces(path: Path) -> FaceModel:
    from .loader import load_face_model

    return load_face_model(path)


def _identity(path: Path) -> _Identity:
    """Return what changes when a file is replaced or written."""
    try:
        found = path.stat()
    except OSError as error:
        raise ModelNotFoundError(
            f"{path.name} cannot be read ({error.strerror}); it has been moved or removed just now."
        ) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
