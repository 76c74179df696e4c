"""Files that are handed in before a submit: by a promise and a PUT, or at once.

The file is stored here and found again by its address; nothing is ever fetched.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..contract.http import Call, Reply, answer
from ..contract.server import AskUpload, PostUpload
from .admission import Admission, RefusedError
from .api_clients import ApiClient
from .files import Files

PUT = "/uploads/"
MOST_PROMISED, MOST_EACH = 1000, 100
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@dataclass(frozen=True)
class Promise:
    """A file that somebody with a key has announced."""

    customer: ApiClient
    size: int
    """Bytes; 0 when they were not told."""


class Promises:
    """What one listener has promised; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promised: dict[str, Promise] = {}

    def add(self, name: str, promise: Promise) -> None:
        """Promise a place for a file; of too many the oldest are forgotten."""
        with self._lock:
            self._promised[name] = promise
            self._forget_some(promise.customer)

    def find(self, name: str) -> Promise | None:
        """Return the promise of a file."""
        with self._lock:
            return self._promised.get(name)

    def take(self, name: str) -> Promise | None:
        """Return the promise of a file and forget it: who has it is the only one."""
        with self._lock:
            return self._promised.pop(name, None)

    def _forget_some(self, customer: ApiClient) -> None:
        """Forget the oldest promise of who has too many; of all together, who has most."""
        counts = Counter(promise.customer.name for promise in self._promised.values())
        crowded = customer.name if counts[customer.name] > MOST_EACH else ""
        if counts.total() > MOST_PROMISED:
            ((crowded, _),) = counts.most_common(1)
        oldest = (name for name, found in self._promised.items() if found.customer.name == crowded)
        self._promised.pop(next(oldest, ""), None)


class UploadStore:
    """Takes files; thread-safe."""

    def __init__(self, files: Files, promises: Promises | None = None) -> None:
        self._files, self._promises = files, promises or Promises()

    def promise(self, asked: AskUpload, customer: ApiClient, base_url: str) -> Reply:
        """Promise a place for a file."""
        name = self._files.new_name(asked.mime)
        self._promises.add(name, Promise(customer, asked.size))
        return asked.write(f"{base_url}{PUT}{name}", f"{base_url}/files/{name}")

    def take(self, posted: PostUpload, customer: ApiClient, base_url: str) -> Reply:
        """Take a file that came without a promise."""
        data = posted.data
        mime = next((kind for sign, kind in _SIGNATURES.items() if data.startswith(sign)), "")
        name = self._files.new_name(mime)
        self._keep(name, data, customer)
        return posted.write(name, f"{base_url}/files/{name}")

    def admit(self, call: Call, most_body: int) -> Admission:
        """Decide on a PUT, whose body is not read yet; its address, once promised, is the key."""
        promise = self._promises.find(_name(call))
        if promise is None:
            raise RefusedError(403, "This upload was not promised.")
        return Admission(promise.customer, min(promise.size or most_body, most_body))

    def put(self, call: Call) -> Reply:
        """Take a promised file, once."""
        name = _name(call)
        promise = self._promises.take(name)
        if promise is None:  # another PUT came meanwhile
            raise RefusedError(403, "This upload was not promised.")
        self._keep(name, call.body, promise.customer)
        return answer({"code": 200, "message": "success"})

    def find(self, url: str, base_url: str) -> bytes | None:
        """Return the uploaded file that an address names, None when it is not one of ours."""
        head = f"{base_url}/files/"
        return self._files.read(url.removeprefix(head)) if url.startswith(head) else None

    def _keep(self, name: str, data: bytes, customer: ApiClient) -> None:
        share = customer.share(self._files.most, customer.disk_mb << 20)
        self._files.take(name, data, customer.name, share, customer.allowances)


def _name(call: Call) -> str:
    return urlsplit(call.url).path.removeprefix(PUT)
