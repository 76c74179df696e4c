"""WaveSpeed's two ways to hand in a file before the submit: a ticket and a PUT, or multipart.

The file is stored here and found again by its address; nothing is ever fetched.
"""

from __future__ import annotations

import email.policy
import threading
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes
from urllib.parse import urlsplit

from ..errors import InvalidInputError
from ..remote.fields import read_body
from ..remote.wire import Call, Reply, answer, whole
from .admission import FORM, Admission, RefusedError
from .customers import Customer
from .files import Files

PUT = "/uploads/"
_TICKET = "/media/uploads"
_MOST_PROMISED, _MOST_EACH = 1000, 100
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@dataclass(frozen=True)
class Promise:
    """A file that somebody with a key has announced."""

    customer: Customer
    size: int
    """Bytes; 0 when they were not told."""


class Uploads:
    """Takes files; thread-safe."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._promised: dict[str, Promise] = {}

    def answer(self, call: Call, customer: Customer, base_url: str) -> Reply | None:
        """Answer a call with a key, None when it is no upload."""
        path = urlsplit(call.url).path
        if call.method != "POST" or not path.startswith("/api/"):
            return None
        if path.endswith(_TICKET):
            return self._promise(call, customer, base_url)
        if path.endswith(FORM):
            return self._take_form(call, customer, base_url)
        return None

    def admit(self, call: Call, most_body: int) -> Admission:
        """Decide on a PUT, whose body is not read yet; its address, once promised, is the key."""
        with self._lock:
            promise = self._promised.get(_name(call))
        if promise is None:
            raise RefusedError(403, "This upload was not promised.")
        return Admission(promise.customer, min(promise.size or most_body, most_body))

    def put(self, call: Call) -> Reply:
        """Take a promised file, once."""
        name = _name(call)
        with self._lock:
            promise = self._promised.pop(name, None)
        if promise is None:  # another PUT came meanwhile
            raise RefusedError(403, "This upload was not promised.")
        self._keep(name, call.body, promise.customer)
        return answer({"code": 200, "message": "success"})

    def find(self, url: str, base_url: str) -> bytes | None:
        """Return the uploaded file that an address names, None when it is not one of ours."""
        head = f"{base_url}/files/"
        return self._files.read(url.removeprefix(head)) if url.startswith(head) else None

    def _promise(self, call: Call, customer: Customer, base_url: str) -> Reply:
        body = read_body(call)
        name = self._files.new_name(str(body.get("content_type") or ""))
        with self._lock:
            self._promised[name] = Promise(customer, max(whole(body.get("size")), 0))
            self._forget_some(customer)
        upload = {"method": "PUT", "url": f"{base_url}{PUT}{name}", "headers": {}}
        data = {"upload": upload, "download_url": f"{base_url}/files/{name}"}
        return answer({"code": 200, "message": "success", "data": data})

    def _forget_some(self, customer: Customer) -> None:
        """Forget the oldest promise of who has too many; of all together, who has most."""
        counts = Counter(promise.customer.name for promise in self._promised.values())
        crowded = customer.name if counts[customer.name] > _MOST_EACH else ""
        if counts.total() > _MOST_PROMISED:
            ((crowded, _),) = counts.most_common(1)
        oldest = (name for name, found in self._promised.items() if found.customer.name == crowded)
        self._promised.pop(next(oldest, ""), None)

    def _keep(self, name: str, data: bytes, customer: Customer) -> None:
        share = customer.share(self._files.most, customer.disk_mb << 20)
        self._files.take(name, data, customer.name, share, customer.allowances)

    def _take_form(self, call: Call, customer: Customer, base_url: str) -> Reply:
        head = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode()
        form = message_from_bytes(head + call.body, policy=email.policy.HTTP)
        parts = [part for part in form.iter_parts() if part.get_filename()]
        if not parts:
            raise InvalidInputError("file", "Send the file as the multipart field `file`.")
        data = parts[0].get_payload(decode=True)
        if not isinstance(data, bytes):
            raise InvalidInputError("file", "The field `file` holds no file.")
        mime = next((kind for sign, kind in _SIGNATURES.items() if data.startswith(sign)), "")
        name = self._files.new_name(mime)
        self._keep(name, data, customer)
        facts = {"type": "image", "filename": name, "size": len(data)}
        facts["download_url"] = f"{base_url}/files/{name}"
        return answer({"code": 200, "message": "success", "data": facts})


def _name(call: Call) -> str:
    return urlsplit(call.url).path.removeprefix(PUT)
