"""Files of results, which bear the names of their requests.

A file that is on its way is called REQUEST.OWNER.RANDOM.part, so that those of dead programs are
known without a clock. It gets its final name once all of it is on the disk, so that a power cut
leaves a whole file or none; what is in it is compared with a digest whenever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ..images.videos import MIMES, sniff

_PART, _REJECTED = ".part", ".rejected"
_BLOCK = 1 << 20
_SIGNATURES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}
_UNKNOWN = ".bin"
_SUFFIXES = (*_SIGNATURES.values(), *(f".{format}" for format in MIMES), _UNKNOWN)


def part_name(request: str, owner: str) -> str:
    """Return a new name for a file that is on its way to the program `owner`."""
    return f"{request}.{owner}.{secrets.token_hex(4)}{_PART}"


def write(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk; raises `OSError`."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def settle(part: Path, request: str) -> tuple[Path, str]:
    """Give a file that is on the disk its final name; return it and the SHA-256 of the content.

    The name is on the disk as well when this returns. Raises `OSError`.
    """
    digest = digest_of(part)
    with part.open("rb") as file:
        head = file.read(64)
    video = f".{sniff(head)}" if sniff(head) else _UNKNOWN
    suffix = next((end for sign, end in _SIGNATURES.items() if head.startswith(sign)), video)
    path = part.replace(part.with_name(request + suffix))
    for other in _SUFFIXES:
        if other != suffix:  # what was damaged may have been of another format
            path.with_suffix(other).unlink(missing_ok=True)
    _sync_folder(path.parent)
    return path, digest


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def rejected(folder: Path, request: str) -> Path:
    """Return the path of what came for a request and is of no use as a result."""
    return folder / (request + _REJECTED)


def reject(path: Path, request: str) -> Path:
    """Put a file aside that is of no use as a result, in place of an earlier one; return it."""
    return path.replace(rejected(path.parent, request))


def find(folder: Path, request: str) -> Path | None:
    """Return the file of a request that has its final name."""
    paths = (folder / (request + suffix) for suffix in _SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def is_whole(path: Path, digest: str) -> bool:
    """Tell whether a result is there and what was written; raises other `OSError`s.

    Without a digest whatever is there will do.
    """
    try:
        found = digest_of(path)
    except FileNotFoundError:
        return False
    return not digest or found == digest


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # others cannot open a folder, and store names with their files
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot do it
            os.fsync(handle)
    finally:
        os.close(handle)


def remove_files(folder: Path, request: str) -> None:
    """Remove all files of a request but those that are on their way."""
    for suffix in (*_SUFFIXES, _REJECTED):
        (folder / (request + suffix)).unlink(missing_ok=True)


def remove_parts(folder: Path, lives: Callable[[str], bool]) -> None:
    """Remove the files that were on their way to programs that do not live any more."""
    for path in folder.glob(f"*{_PART}"):
        _, _, owner = path.stem.partition(".")
        if not lives(owner.partition(".")[0]):
            path.unlink(missing_ok=True)
