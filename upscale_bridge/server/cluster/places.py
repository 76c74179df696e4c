"""Where the files of a cluster lie: a folder that all machines see, or an object store.

Imported only by cluster commands: fsspec and s3fs belong to the extra [cluster]. Keys are taken
from where the store's own programs take them (AWS_ACCESS_KEY_ID, a role of the machine, ...).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from ...errors import SettingsError
from ..files import Folder, Place

Found = TypeVar("Found")

_LONGEST_SIGNED = 7 * 86_400  # seconds; S3 takes no more
_PAUSE = 1.0
_OPTIONS = ("endpoint", "region", "public")


def place_at(url: str, patience: float = 0.0) -> Place:
    """Return the place that `--files` names; raises `SettingsError`.

    s3://BUCKET/PREFIX takes `endpoint`, `region` and `public` as a query: the address of a store
    that is not Amazon's, and the one by which clients reach it. With `public` they fetch results
    from there themselves, by signed addresses. What fails is tried again for `patience` seconds.
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file") and not parts.netloc and parts.path.startswith("/"):
        return Folder(Path(parts.path))
    options = dict(parse_qsl(parts.query))
    if not parts.scheme or not parts.netloc or set(options) - set(_OPTIONS):
        raise SettingsError(
            "--files must be a folder that all machines see, or s3://BUCKET/PREFIX with "
            f"?{'=...&'.join(_OPTIONS)}=... as needed."
        )
    return ObjectPlace(parts.scheme, f"{parts.netloc}{parts.path}".rstrip("/"), options, patience)


class ObjectPlace:
    """A bucket, or whatever fsspec knows by that scheme; thread-safe."""

    def __init__(self, scheme: str, root: str, options: dict[str, str], patience: float) -> None:
        self._scheme, self._root, self._patience = scheme, root, patience
        self._files = _filesystem(scheme, options, options.get("endpoint"))
        self._signer: Any = None
        if options.get("public"):
            self._signer = _filesystem(scheme, options, options["public"])

    def store(self, name: str, data: bytes) -> None:
        self._do(lambda: self._files.pipe_file(self._path(name), data))

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        def found() -> tuple[IO[bytes], int] | None:
            try:
                file = self._files.open(self._path(name), "rb")
            except FileNotFoundError:
                return None
            return file, int(file.size)

        return self._do(found)

    def remove(self, name: str) -> None:
        def gone() -> None:
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

        self._do(gone)

    def free(self) -> None:
        """Only the quota bounds it."""

    def address(self, name: str, seconds: float) -> str | None:
        if self._signer is None:
            return None
        lasting = int(min(max(seconds, 1.0), _LONGEST_SIGNED))
        return str(self._do(lambda: self._signer.sign(self._path(name), expiration=lasting)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _do(self, step: Callable[[], Found]) -> Found:
        until = time.monotonic() + self._patience
        while True:
            try:
                return step()
            except Exception as error:  # each library that fsspec stands for has errors of its own
                if time.monotonic() > until:
                    told = (str(error) or type(error).__name__).splitlines()[0]
                    raise SettingsError(
                        f"The files at {self._scheme}://{self._root} cannot be used ({told}); see "
                        "to it that the store can be reached and has room."
                    ) from error
            time.sleep(_PAUSE)


def _filesystem(scheme: str, options: dict[str, str], endpoint: str | None) -> Any:
    chosen: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "s3":
        chosen["client_kwargs"] = {"region_name": options.get("region") or "us-east-1"}
        chosen["config_kwargs"] = {"signature_version": "s3v4", "connect_timeout": 5}
        if endpoint:
            chosen["endpoint_url"] = endpoint
    try:
        import fsspec

        return fsspec.filesystem(scheme, **chosen)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"Nothing here can read {scheme}:// ({error}); install the package that can."
        ) from error
