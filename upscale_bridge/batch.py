"""Many files through one operation: which file becomes which, and what happens when one fails."""

from __future__ import annotations

import dataclasses
import glob
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import codecs
from .errors import InvalidInputError, SettingsError
from .local.operation import LocalUpscale
from .monitor import Monitor
from .params import Operation
from .service import Service

STREAM = "-"
"""Stands for standard input or output."""

_SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
# What counts as a picture in a folder. Those of the last line cannot be read: they are named in
# the run's report rather than passed over.
_PICTURES = {
    *(*_SUFFIXES, ".apng", ".bmp", ".dib", ".gif", ".avif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    *(".heic", ".heif", ".jxl", ".jp2", ".j2k", ".tga", ".psd"),
}


@dataclass(frozen=True)
class Output:
    """How results are written."""

    format: str | None = None
    """png, jpeg, webp or tiff; None keeps the input's where it can be written, else png."""
    quality: int = 95
    suffix: str = ""
    """Put behind the name, before the extension."""
    overwrite: bool = False
    metadata: bool = True
    """Keep EXIF; the colour profile is always kept."""


@dataclass(frozen=True)
class Size:
    """The wanted size in pixels; the aspect ratio is kept, the picture fits inside."""

    width: int | None = None
    height: int | None = None
    longest_edge: int | None = None

    def factor(self, width: int, height: int, default: float) -> float:
        """Return the scale factor for a picture of `width` x `height`."""
        wanted = (
            (self.width, width),
            (self.height, height),
            (self.longest_edge, max(width, height)),
        )
        return min((size / now for size, now in wanted if size is not None), default=default)


@dataclass(frozen=True)
class Job:
    """One file and where its result goes; a `Path`, or `STREAM`."""

    source: Path | str
    target: Path | str


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    job: Job
    status: Literal["done", "skipped"]
    info: dict[str, Any]
    summary: str = ""


def plan_jobs(
    inputs: Sequence[str], out: str | None, output: Output, *, recursive: bool = False
) -> list[Job]:
    """Return a job for every picture that `inputs` (files, folders, patterns, "-") name.

    `out` is a file for a single input file, else a folder; "-" (or None when the input is "-")
    is standard output. Raises `InvalidInputError` when that cannot work.
    """
    named = [pair for name in inputs for pair in _expand(name, recursive)]
    sources = list(dict(named).items())  # once each, whatever was named twice
    if not sources:
        raise InvalidInputError("IN", "No pictures found; name files, or folders with pictures.")
    if out is None or out == STREAM:
        if len(sources) > 1 or (out is None and sources[0][0] != STREAM):
            raise InvalidInputError("--output", "Name a folder for the results with -o.")
        return [Job(sources[0][0], STREAM)]
    single = len(sources) == 1 and not Path(out).is_dir() and Path(out).suffix.lower() in _SUFFIXES
    jobs = (
        [Job(sources[0][0], Path(out))]
        if single
        else [Job(source, Path(out) / _result_name(below, output)) for source, below in sources]
    )
    _refuse_collisions(jobs)
    if single and output.format not in (None, _SUFFIXES[Path(out).suffix.lower()]):
        raise InvalidInputError(
            "--format", f"{out} is not the name of a {output.format} file; drop --format or rename."
        )
    # A second run finds the first one's results where they lie among the pictures.
    results = {Path(job.target).resolve() for job in jobs}
    return [job for job in jobs if Path(job.source).resolve() not in results]


def run_job(
    job: Job,
    operation: Operation,
    size: Size,
    output: Output,
    service: Service,
    monitor: Monitor,
) -> Done:
    """Upscale one file, or skip it when its result is there already.

    `size` is for the local operation alone: it takes any factor.
    """
    if isinstance(job.target, Path) and job.target.exists() and not output.overwrite:
        return Done(job, "skipped", {})
    name = str(job.source)
    decoded = codecs.decode(_read(job.source), name)
    bits = 8  # what services give back
    if isinstance(operation, LocalUpscale):
        height, width = decoded.pixels.shape[:2]
        factor = size.factor(width, height, operation.scale_factor)
        operation = dataclasses.replace(operation, scale_factor=factor)
        bits = decoded.bits
    result = service.run(operation, decoded.pixels[None], monitor)
    picture = codecs.encode(
        result.images[0],
        _format(job, output, decoded.format),
        quality=output.quality,
        bits=bits,
        icc=decoded.icc,
        exif=decoded.exif if output.metadata else None,
    )
    write(job.target, picture.data, overwrite=output.overwrite)
    return Done(job, "done", result.info, result.summary)


def format_of(target: Path | str) -> str:
    """Return the format that a file's name asks for; png when it asks for none."""
    return _SUFFIXES.get(Path(target).suffix.lower(), "png")


def _expand(name: str, recursive: bool) -> Iterator[tuple[Path | str, Path]]:
    """Yield (file, its path below the folder that the user named)."""
    path = Path(name)
    if name == STREAM:
        yield STREAM, Path("stdin.png")
    elif path.is_dir():
        found = path.rglob("*") if recursive else path.glob("*")
        for file in sorted(found):
            if file.suffix.lower() in _PICTURES and file.is_file():
                yield file, file.relative_to(path)
    elif not path.exists() and glob.has_magic(name):
        for match in sorted(glob.glob(name, recursive=recursive)):  # noqa: PTH207 (may be absolute)
            yield Path(match), Path(Path(match).name)
    else:
        yield path, Path(path.name)


def _result_name(below: Path, output: Output) -> Path:
    suffix = below.suffix
    if output.format and _SUFFIXES.get(suffix.lower()) != output.format:
        suffix = ".jpg" if output.format == "jpeg" else f".{output.format}"
    elif suffix.lower() not in _SUFFIXES:
        suffix = ".png"
    return below.with_name(below.stem + output.suffix + suffix)


def _refuse_collisions(jobs: list[Job]) -> None:
    taken: dict[Path, Job] = {}
    for job in jobs:
        target = Path(job.target).resolve()
        if target in taken:
            raise InvalidInputError(
                "--output",
                f"{taken[target].source} and {job.source} would both become {job.target}; "
                "upscale them separately or keep their formats.",
            )
        taken[target] = job
        if target == Path(job.source).resolve():
            raise InvalidInputError(
                "--output",
                f"The result of {job.source} would replace it; name another folder or a --suffix.",
            )


def _format(job: Job, output: Output, source: str) -> str:
    if output.format:
        return output.format
    if isinstance(job.target, Path):
        return _SUFFIXES.get(job.target.suffix.lower(), "png")
    return source if source in codecs.MIMES else "png"


def _read(source: Path | str) -> bytes:
    if isinstance(source, str):
        return sys.stdin.buffer.read()
    try:
        return source.read_bytes()
    except OSError as error:
        raise InvalidInputError(
            str(source), f"Cannot read {source} ({error.strerror}); check its path and permissions."
        ) from error


def write(target: Path | str, data: bytes, *, overwrite: bool) -> None:
    """Write a file, or to standard output; a file appears only when it is complete."""
    if isinstance(target, str):
        sys.stdout.buffer.write(data)
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists() and not overwrite:
                raise SettingsError(
                    f"{target} was made by another program in the meantime and is kept; "
                    "--overwrite replaces it."
                )
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot write {target} ({error.strerror}); free some space or choose another folder."
        ) from error
