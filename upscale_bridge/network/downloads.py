"""Weights from public addresses: resumed, checked, and there only when complete."""

from __future__ import annotations

import hashlib
import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from ..errors import BadReplyError, DownloadError, TransportError
from ..monitor import Monitor
from .transport import get, host_of

if TYPE_CHECKING:
    import requests

_BLOCK = 1 << 15  # bytes between two looks at the monitor
_TRIES = 4
_LARGEST = 8 << 30


def download(
    url: str, target: Path, monitor: Monitor, *, size: int | None = None, sha256: str | None = None
) -> None:
    """Fetch `url` into `target`, which appears only when it is complete and checked.

    An interrupted download leaves `target` + ".part" and goes on there the next time. `size` in
    bytes and `sha256` are checked when known. Raises `DownloadError` or what `monitor` raises.
    """
    part = target.with_name(target.name + ".part")
    try:
        for attempt in range(_TRIES):
            monitor.check()
            try:
                _fetch(url, part, monitor, size or _LARGEST)
                break
            except TransportError:
                # Whatever arrived is kept; go on from there unless nothing comes any more.
                if attempt == _TRIES - 1 or not part.exists():
                    raise
        _verify(part, size, sha256)
        part.replace(target)
    except (BadReplyError, TransportError) as error:
        raise DownloadError(
            f"{error} Check the connection or the proxy, or fetch {_public(url)} by other means "
            f"and put the file into {target.parent}."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"Cannot write {target} ({error.strerror}); free some space or choose another folder."
        ) from error


def _fetch(url: str, part: Path, monitor: Monitor, limit: int) -> None:
    """Append to `part` what it lacks."""
    done = part.stat().st_size if part.exists() else 0
    if done >= limit:
        return
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are those of the file itself
    if done:
        headers["Range"] = f"bytes={done}-"
    with get(url, headers, monitor.check, limit) as reply:
        if done and reply.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # it is longer than the file; begin again
            _fetch(url, part, monitor, limit)
            return
        reply.raise_for_status()
        resumed = reply.status_code == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            _copy(reply, file, monitor, done if resumed else 0, limit)


def _copy(
    reply: requests.Response, file: BinaryIO, monitor: Monitor, done: int, limit: int
) -> None:
    total = done + int(reply.headers.get("Content-Length") or 0)
    for block in reply.iter_content(_BLOCK):
        monitor.check()
        done += len(block)
        if done > limit:
            raise DownloadError(
                f"{host_of(reply.url)} sends more than the expected {limit} bytes; "
                "it is not the file that the catalogue describes."
            )
        file.write(block)
        monitor.progress(min(done, max(total, done)), max(total, done))
        monitor.status(f"downloading {done / 1e6:.1f}/{max(total, done) / 1e6:.1f} MB")
    if done < total:
        raise TransportError(f"The connection to {host_of(reply.url)} broke off.", sent=True)
    file.flush()
    os.fsync(file.fileno())


def _verify(part: Path, size: int | None, sha256: str | None) -> None:
    if size is not None and part.stat().st_size != size:
        found = part.stat().st_size
        part.unlink()
        raise DownloadError(
            f"{part.stem} has {found} bytes instead of {size}; it was thrown away, try again later."
        )
    if sha256 is not None:
        digest = hashlib.sha256()
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256:
            part.unlink()
            raise DownloadError(
                f"{part.stem} is not the expected file (its SHA-256 is {digest.hexdigest()}, "
                f"not {sha256}); it was thrown away, fetch it from a source that you trust."
            )


def _public(url: str) -> str:
    """Return the address without what may be secret: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
