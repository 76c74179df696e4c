"""Many files through one operation: which file becomes which, and what happens when one fails."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import targets
from .contract.enlarging import Enlarging
from .contract.operation import RemoteOperation
from .errors import InvalidInputError
from .images import codecs
from .images.folders import PICTURES, VIDEOS, WRITTEN, Kind, files, identity, is_folder, is_there
from .images.metadata import Metadata, listed
from .local.operation import LocalOperation
from .monitor import Monitor
from .service import Service

if TYPE_CHECKING:
    from torch import Tensor


STREAM = "-"
"""Stands for standard input or output."""


@dataclass(frozen=True)
class OutputOptions:
    """How results are written."""

    format: str | None = None
    """png, jpeg, webp or tiff; None keeps the input's where it can be written, else png."""
    quality: int = 95
    suffix: str = ""
    """Put behind the name, before the extension."""
    overwrite: bool = False
    metadata: bool = True
    """Keep what describes the picture; what its colours mean is always kept."""


@dataclass(frozen=True)
class FileJob:
    """One file and where its result goes; a `Path`, or `STREAM`."""

    source: Path | str
    target: Path | str


@dataclass(frozen=True)
class FileResult:
    """What became of a job."""

    job: FileJob
    status: Literal["done", "skipped"]
    info: dict[str, Any]
    summary: str = ""
    left_out: tuple[str, ...] = ()
    """What the result has not of its source, in words."""


def plan_jobs(
    inputs: Sequence[str],
    out: str | None,
    output: OutputOptions,
    *,
    recursive: bool = False,
    say: Callable[[str], None] = lambda text: None,
    kind: Kind = PICTURES,
) -> list[FileJob]:
    """Return a job for every file of a kind that `inputs` (files, folders, patterns, "-") name.

    `out` is a file for a single input file, else a folder; "-" (or None when the input is "-")
    is standard output. What was passed over is said. Raises `InvalidInputError` when that cannot
    work.
    """
    sources = _sources(inputs, out, recursive, say, kind)
    if kind is VIDEOS and STREAM in (*inputs, out):
        raise InvalidInputError("IN", "Videos are read from files and written to files; name them.")
    if out is not None and out != STREAM:
        _refuse_ending(out, kind)
    if out is None or out == STREAM:
        if len(sources) > 1 or (out is None and sources[0][0] != STREAM):
            raise InvalidInputError("--output", "Name a folder for the results with -o.")
        return [FileJob(sources[0][0], STREAM)]
    named = Path(out).suffix.lower() in kind.written
    single = len(sources) == 1 and not is_folder(Path(out)) and named
    jobs = (
        [FileJob(sources[0][0], Path(out))]
        if single
        else [
            FileJob(source, Path(out) / _result_name(below, output, kind))
            for source, below in sources
        ]
    )
    _refuse_collisions(jobs, output)
    if single and output.format not in (None, kind.written[Path(out).suffix.lower()]):
        raise InvalidInputError(
            "--format", f"{out} is not the name of a {output.format} file; drop --format or rename."
        )
    return _without_results(jobs, output)


def run_job(
    job: FileJob,
    operation: LocalOperation | RemoteOperation,
    output: OutputOptions,
    service: Service,
    monitor: Monitor,
) -> FileResult:
    """Upscale one file, or skip it when its result is there already."""
    if isinstance(job.target, Path) and is_there(job.target) and not output.overwrite:
        return FileResult(job, "skipped", {})
    decoded, pixels, format, left_out = opened(job, output)
    height, width = pixels.shape[:2]
    target, bits = operation.target(width, height), decoded.bits
    if not isinstance(operation, (LocalOperation, Enlarging)):
        bits = 8
        if decoded.bits > 8:
            left_out.append("8 of 16 bits per channel (services give back 8)")
    codecs.check_format(format, target, transparent=pixels.shape[-1] in (2, 4))
    targets.check_room(job.target, format, target, pixels.shape[-1] * bits // 8)
    result = service.run(operation, pixels[None], monitor)
    about = decoded.about if output.metadata else _colours_of(decoded.about)
    enlarged = result.images[0]
    left_out += codecs.unfit(about, format, (enlarged.shape[1], enlarged.shape[0]), bits)
    picture = codecs.encode(enlarged, format, quality=output.quality, bits=bits, about=about)
    targets.write(job.target, picture.data, overwrite=output.overwrite)
    return FileResult(job, "done", result.info, result.summary, tuple(dict.fromkeys(left_out)))


def run_video_job(
    job: FileJob,
    operation: RemoteOperation,
    output: OutputOptions,
    service: Service,
    monitor: Monitor,
) -> FileResult:
    """Upscale one video, or skip it when its result is there already."""
    source, target = Path(job.source), Path(job.target)
    if is_there(target) and not output.overwrite:
        return FileResult(job, "skipped", {})
    targets.check(target)

    def take(kept: Path) -> None:
        targets.copy(kept, target, overwrite=output.overwrite)

    result = service.run_video(operation, source, take, monitor)
    if result.format != VIDEOS.written.get(target.suffix.lower()):
        monitor.notice(f"{target}: the service made a {result.format} file of it.")
    return FileResult(job, "done", result.info, result.summary)


def opened(job: FileJob, output: OutputOptions) -> tuple[codecs.Decoded, Tensor, str, list[str]]:
    """Return a file, its pixels as the result's format can hold them, that format, and what it has
    no place for."""
    targets.check(job.target)
    decoded = codecs.decode(_read(job.source), str(job.source))
    format, left_out = _format(job, output, decoded.format), list(decoded.about.left_out)
    return decoded, _writable(decoded, format, left_out), format, left_out


def _writable(decoded: codecs.Decoded, format: str, left_out: list[str]) -> Tensor:
    """Return the pixels as `format` can hold them, if it can."""
    pixels, about = decoded.pixels, decoded.about
    alpha = pixels.shape[-1] in (2, 4)
    if format == "jpeg" and alpha and bool((pixels[..., -1] == 1).all()):
        pixels, alpha = pixels[..., :-1], False
    if format != "png" and about.gamma is not None:
        left_out.append(f"its gamma of {about.gamma:g} (applied, the result is in sRGB)")
        pixels = codecs.to_srgb(pixels, about.gamma, transparent=alpha)
        del about.colours["gAMA"]
    return pixels


def _colours_of(about: Metadata) -> Metadata:
    return Metadata(icc=about.icc, colours=about.colours)


def format_of(target: str) -> str:
    """Return the format that a file's name asks for; png when it asks for none.

    Raises `InvalidInputError` for a format that is not written.
    """
    _refuse_ending(target, PICTURES)
    return WRITTEN.get(Path(target).suffix.lower(), "png")


def _sources(
    inputs: Sequence[str],
    out: str | None,
    recursive: bool,
    say: Callable[[str], None],
    kind: Kind,
) -> list[tuple[Path | str, Path]]:
    """Return each file once, however many names it has, and its path below what was named."""
    results = Path(out) if out not in (None, STREAM) else None
    found: dict[object, tuple[Path | str, Path]] = {}
    again, unread = [], []
    for name in inputs:
        for source, below, readable in _expand(name, recursive, results, say, kind):
            key = source if isinstance(source, str) else identity(source)
            if not readable:
                unread.append(source)
            elif key not in found:
                found[key] = source, below
            elif str(found[key][0]) != str(source):
                again.append(f"{source} (as {found[key][0]})")
    if again:
        say(f"Further names of the same files: {listed(again)}.")
    if unread:
        say(
            f"{len(unread)} {kind.word} of formats that are not read: {listed(unread)}; save them "
            f"as {kind.better}."
        )
    if not found:
        raise InvalidInputError(
            "IN",
            f"No {kind.word} found{' that can be read' if unread else ''}; name files, or "
            f"folders with {kind.word}.",
        )
    return list(found.values())


def _expand(
    name: str, recursive: bool, results: Path | None, say: Callable[[str], None], kind: Kind
) -> Iterator[tuple[Path | str, Path, bool]]:
    """Yield (file, its path below the folder that the user named, whether its format is read)."""
    path = Path(name)
    if name == STREAM:
        yield STREAM, Path("stdin.png"), True
    elif is_folder(path):
        for file, readable in files(path, kind, recursive=recursive, without=results, say=say):
            yield file, file.relative_to(path), readable
    elif not is_there(path) and glob.has_magic(name):
        for match in sorted(glob.glob(name, recursive=recursive)):  # noqa: PTH207 (may be absolute)
            if not is_folder(Path(match)):
                yield Path(match), Path(Path(match).name), True
    else:
        yield path, Path(path.name), True


def _refuse_ending(out: str, kind: Kind) -> None:
    """Raise `InvalidInputError` for the name of a file that is not written."""
    ending = Path(out).suffix.lower()
    folder = is_folder(Path(out)) or out.endswith(("/", os.sep))
    known = ending in kind.read or ending in kind.not_read
    if not folder and known and ending not in kind.written:
        raise InvalidInputError(
            "--output",
            f"{out}: results are written as {', '.join(kind.written)}, not as {ending}; choose "
            "one of these, or a folder.",
        )


def _without_results(jobs: list[FileJob], output: OutputOptions) -> list[FileJob]:
    """Leave out what an earlier run made, where results lie among the pictures."""
    results = {identity(Path(job.target)) for job in jobs}
    names = {(Path(job.source).parent, Path(job.source).stem) for job in jobs}

    def is_result(job: FileJob) -> bool:
        source = Path(job.source)
        if identity(source) in results:
            return True
        stem = source.stem.removesuffix(output.suffix)
        beside = identity(source.parent) == identity(Path(job.target).parent)
        return (
            bool(output.suffix)
            and beside
            and stem != source.stem
            and ((source.parent, stem) in names)
        )

    return [job for job in jobs if not is_result(job)]


def _result_name(below: Path, output: OutputOptions, kind: Kind) -> Path:
    suffix = below.suffix
    if output.format and WRITTEN.get(suffix.lower()) != output.format:
        suffix = ".jpg" if output.format == "jpeg" else f".{output.format}"
    elif suffix.lower() not in kind.written:
        suffix = kind.result
    return below.with_name(below.stem + output.suffix + suffix)


def _refuse_collisions(jobs: list[FileJob], output: OutputOptions) -> None:
    taken: dict[str, FileJob] = {}
    for job in jobs:
        target = Path(job.target).resolve()
        # Names that differ in their case only are one file there.
        key = str(target).casefold() if sys.platform in ("win32", "darwin") else str(target)
        if key in taken:
            raise InvalidInputError(
                "--output",
                f"{taken[key].source} and {job.source} would both become {job.target}; "
                f"{_advice(Path(taken[key].source), Path(job.source), output)}.",
            )
        taken[key] = job
        if target == Path(job.source).resolve():
            raise InvalidInputError(
                "--output",
                f"The result of {job.source} would replace it; name another folder or a --suffix.",
            )


def _advice(first: Path, second: Path, output: OutputOptions) -> str:
    """Say how the results of two files get two names."""
    if first.name.casefold() == second.name.casefold():
        return (
            "name a folder above both with --recursive, which keeps the tree, or upscale them in "
            "two runs with an --output of their own"
        )
    if output.format and {first.suffix.lower(), second.suffix.lower()} <= WRITTEN.keys():
        return "drop --format, which keeps their endings, or rename one of them"
    return "rename one of them, or upscale them in two runs with an --output of their own"


def _format(job: FileJob, output: OutputOptions, source: str) -> str:
    if output.format:
        return output.format
    if isinstance(job.target, Path):
        return WRITTEN.get(job.target.suffix.lower(), "png")
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
