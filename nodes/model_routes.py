"""Downloads of known models that the page asks for.

GET  /upscale_bridge/models            names of all upscalers; what is not on this machine, of these
                                       and of what faces need, with its size in bytes or null; and
                                       the downloads under way
POST /upscale_bridge/models/download   {"name": "4x-UltraSharp"}
POST /upscale_bridge/models/cancel     {"name": "4x-UltraSharp"}

Event `upscale_bridge.download`: {"name", "state": "running", "done", "failed" or "stopped",
"fraction": 0..1}; after "failed" also "text", the reason.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.errors import StoppedError, UpscaleError
from ..upscale_bridge.local.catalogue import ModelSpec
from ..upscale_bridge.monitor import Monitor
from . import host
from .http import PREFIX, Handler, asking, telling

EVENT = "upscale_bridge.download"
_NEWS_SECONDS = 0.25
_NEWS_SHARE = 0.05  # so that a download that stalls has told how far it came


class Download(Monitor):
    """One download; it tells the page how far it is."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._stopped = threading.Event()
        self._told = 0.0
        self.state: dict[str, Any] = {"name": spec.name, "state": "running", "fraction": 0.0}

    def run(self) -> None:
        """Fetch the file."""
        end: dict[str, Any] = {"state": "failed"}
        end["text"] = "The download ended unexpectedly; the log says why."
        try:
            host.service().library.fetch(self._spec, self)
            end = {"state": "done", "fraction": 1.0}
        except StoppedError:
            end = {"state": "stopped"}
        except UpscaleError as error:
            end = {"state": "failed", "text": str(error)}
        finally:
            with _lock:  # whoever hears of the end may ask at once what is under way
                _running.pop(self._spec.name, None)
                self._tell(**end)

    def stop(self) -> None:
        """End it soon."""
        self._stopped.set()

    def check(self) -> None:
        if self._stopped.is_set():
            raise StoppedError

    def progress(self, done: float, total: float) -> None:
        fraction = done / total if total else 0.0
        grown = fraction - self.state["fraction"] >= _NEWS_SHARE
        if grown or time.monotonic() - self._told > _NEWS_SECONDS:
            self._told = time.monotonic()
            self._tell(fraction=fraction)

    def _tell(self, **changes: Any) -> None:
        self.state = {**self.state, **changes}
        host.tell_page(EVENT, self.state)


_running: dict[str, Download] = {}
_lock = threading.Lock()


def describe() -> Json:
    """Return all upscalers, what may be downloaded, and the state of each download under way."""
    library = host.service().library
    entries = library.entries()
    known = [*entries, *library.face_entries()]
    absent = {one.name: one.spec and one.spec.size for one in known if one.path is None}
    with _lock:
        downloads = [one.state for one in _running.values()]
    return {"models": [one.name for one in entries], "absent": absent, "downloads": downloads}


def download(body: Json) -> Json:
    """Begin a download, unless it is under way; raises `ModelNotFoundError`."""
    spec = host.service().library.known(str(body.get("name", "")))
    with _lock:
        if spec.name not in _running:
            _running[spec.name] = Download(spec)
            threading.Thread(target=_running[spec.name].run, daemon=True).start()
        return _running[spec.name].state


def cancel(body: Json) -> Json:
    """Stop a download."""
    with _lock:
        found = _running.get(str(body.get("name", "")))
    if found is not None:
        found.stop()
    return {}


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", f"{PREFIX}/models"): asking(describe),
    ("POST", f"{PREFIX}/models/download"): telling(download),
    ("POST", f"{PREFIX}/models/cancel"): telling(cancel),
}
