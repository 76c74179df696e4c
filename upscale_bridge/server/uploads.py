"""WaveSpeed's two ways to hand in a file before the submit: a ticket and a PUT, or multipart.

The file is stored here and found again by its address; nothing is ever fetched.
"""

from __future__ import annotations

import email.policy
import threading
from email import message_from_bytes
from urllib.parse import urlsplit

from ..errors import InvalidInputError
from ..remote.fields import read_body
from ..remote.wire import Call, Reply, answer
from .files import Files

_TICKET, _POST, _PUT = "/media/uploads", "/media/upload/binary", "/uploads/"
_MOST_PROMISED = 1000
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


class Uploads:
    """Takes files; thread-safe."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._promised: dict[str, None] = {}

    def answer(self, call: Call, base_url: str) -> Reply | None:
        """Answer a call with a key, None when it is no upload."""
        path = urlsplit(call.url).path
        if call.method != "POST" or not path.startswith("/api/"):
            return None
        if path.endswith(_TICKET):
            return self._promise(call, base_url)
        if path.endswith(_POST):
            return self._take_form(call, base_url)
        return None

    def put(self, call: Call) -> Reply | None:
        """Take a promised file, None when the call is no PUT of one; the address is the key."""
        path = urlsplit(call.url).path
        if call.method != "PUT" or not path.startswith(_PUT):
            return None
        name = path.removeprefix(_PUT)
        with self._lock:
            if name not in self._promised:
                return answer({"code": 403, "message": "This upload was not promised."}, 403)
            del self._promised[name]
        self._files.write(name, call.body)
        return answer({"code": 200, "message": "success"})

    def find(self, url: str, base_url: str) -> bytes | None:
        """Return the uploaded file that an address names, None when it is not one of ours."""
        head = f"{base_url}/files/"
        return self._files.read(url.removeprefix(head)) if url.startswith(head) else None

    def _promise(self, call: Call, base_url: str) -> Reply:
        name = self._files.new_name(str(read_body(call).get("content_type") or ""))
        with self._lock:
            self._promised[name] = None
            while len(self._promised) > _MOST_PROMISED:
                del self._promised[next(iter(self._promised))]
        upload = {"method": "PUT", "url": f"{base_url}{_PUT}{name}", "headers": {}}
        data = {"upload": upload, "download_url": f"{base_url}/files/{name}"}
        return answer({"code": 200, "message": "success", "data": data})

    def _take_form(self, call: Call, base_url: str) -> Reply:
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
        self._files.write(name, data)
        facts = {"type": "image", "filename": name, "size": len(data)}
        facts["download_url"] = f"{base_url}/files/{name}"
        return answer({"code": 200, "message": "success", "data": facts})
