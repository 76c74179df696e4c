"""What vendors sell and what they ask for it, in their own words; asking is not billed.

A live catalogue is kept in the user's data folder, so that a list is complete without network, too.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..contract.catalogue import Catalogue, CatalogueModel
from ..contract.http import Call, Json, Reply
from ..contract.operation import RemoteOperation
from ..contract.pricing import Price
from ..contract.vendor import Vendor
from ..errors import InvalidInputError, ProviderError, SettingsError, UpscaleError
from ..storage.settings import home, make_folder, write_private
from .clock import Clock

log = logging.getLogger(__name__)

FRESH_SECONDS = 3600.0
"""For how long what a vendor told is used without asking again."""

Kind = type[RemoteOperation] | RemoteOperation
Ask = Callable[[Vendor, Call], Reply]


class Offers:
    """Catalogues, prices and balances for one host; thread-safe."""

    def __init__(self, ask: Ask, host: Callable[[Vendor], str], clock: Clock) -> None:
        """`ask` sends a free call to a vendor with its key, or raises; `host` tells where it is."""
        self._ask, self._host, self._clock = ask, host, clock
        self._lock = threading.Lock()
        self._asking: set[Path] = set()
        self._kept: dict[Path, tuple[float, Reply]] = {}
        self._read: dict[tuple[Path, Catalogue], tuple[CatalogueModel, ...]] = {}
        self._prices: dict[tuple[str, bytes], tuple[float, Price]] = {}

    def models(self, kind: Kind) -> tuple[CatalogueModel, ...]:
        """Return what is known to be sold, without asking: what was told last, else what ships."""
        catalogue = _catalogue(kind)
        return self._live(kind.vendor, catalogue) or catalogue.known

    def is_fresh(self, kind: Kind) -> bool:
        """Tell whether the vendor was asked within the hour."""
        kept = self._load(self._path(kind.vendor))
        return kept is not None and 0 <= self._clock.now() - kept[0] < FRESH_SECONDS

    def refresh(self, kind: Kind) -> None:
        """Ask for the catalogue; raises an `UpscaleError` and keeps what was known then."""
        catalogue, path = _catalogue(kind), self._path(kind.vendor)
        reply = self._ask(kind.vendor, catalogue.ask())
        catalogue.read(reply)
        now = self._clock.now()
        with self._lock:
            self._kept[path] = now, reply
            self._read = {key: found for key, found in self._read.items() if key[0] != path}
        text = reply.body.decode("utf-8", "replace")
        with contextlib.suppress(SettingsError):  # a full disk, say; it is asked for again then
            make_folder(path.parent, private=True)
            write_private(path, json.dumps({"told": now, "status": reply.status, "body": text}))

    def refresh_beside(self, kind: Kind, then: Callable[[], None] = lambda: None) -> None:
        """Ask on a thread of its own unless the answer is fresh, and call `then` when it came."""
        path = self._path(kind.vendor)
        with self._lock:
            if path in self._asking:
                return
            self._asking.add(path)
        if self.is_fresh(kind):
            self._asking.discard(path)
            return

        def work() -> None:
            try:
                self.refresh(kind)
                then()
            except UpscaleError as error:
                log.info("The catalogue of %s cannot be read: %s", kind.vendor.title, error)
            finally:
                self._asking.discard(path)

        threading.Thread(target=work, daemon=True).start()

    def check(self, operation: RemoteOperation) -> CatalogueModel:
        """Return the model of an operation if it takes these options; ask where that is not known.

        Raises `InvalidInputError`, or why a model that does not ship cannot be looked up.
        """
        name, asked = operation.own_model, not self.is_fresh(operation)
        problem = self._renew(operation) if asked else None
        models = {model.name: model for model in self.models(operation)}
        if name not in models and not asked:  # it may have come since
            problem = self._renew(operation)
            models = {model.name: model for model in self.models(operation)}
        model = models.get(name)
        if model is None and problem is not None:
            raise problem
        if model is None:
            raise _unsold(operation, list(models))
        if model.schema is not None:
            model.schema.check(operation.inputs)
        return model

    def _renew(self, operation: RemoteOperation) -> UpscaleError | None:
        """Ask for the catalogue; return why that did not work."""
        try:
            self.refresh(operation)
        except UpscaleError as error:
            return error
        return None

    def price(self, operation: RemoteOperation) -> Price | None:
        """Return what one image or video costs, None where nobody can tell; asks once an hour.

        Raises an `UpscaleError` when the vendor cannot be asked.
        """
        if operation.pricing is None:
            return None
        inputs, least = self._completed(operation)
        call = operation.pricing.ask(operation, inputs)
        key, now = (self._host(operation.vendor), call.body), self._clock.now()
        found = self._prices.get(key)
        if found is None or not 0 <= now - found[0] < FRESH_SECONDS:
            reply = self._ask(operation.vendor, call)
            if reply.status in (404, 405):
                return None
            found = now, replace(operation.pricing.read(reply), least=least)
            self._prices[key] = found
        return found[1]

    def balance(self, operation: Kind) -> Price | None:
        """Return what is left on the account, None where nobody can tell."""
        if operation.pricing is None:
            return None
        reply = self._ask(operation.vendor, operation.pricing.ask_balance())
        return None if reply.status in (404, 405) else operation.pricing.read_balance(reply)

    def _completed(self, operation: RemoteOperation) -> tuple[Json, bool]:
        """Return the inputs with their defaults, and whether the price reads others as well.

        A quote that lacks an input is the least that a run may cost.
        """
        models = self.models(operation) if operation.catalogue else ()
        model = next((one for one in models if one.name == operation.own_model), None)
        if model is None or model.schema is None:
            return operation.inputs, model is not None
        inputs = model.schema.complete(operation.inputs)
        names = {one.name for one in (*model.schema.fields, model.schema.file)} - set(inputs)
        return inputs, any(re.search(rf"\b{re.escape(name)}\b", model.formula) for name in names)

    def _live(self, vendor: Vendor, catalogue: Catalogue) -> tuple[CatalogueModel, ...]:
        path = self._path(vendor)
        kept, key = self._load(path), (path, catalogue)
        if kept is None:
            return ()
        found = self._read.get(key)
        if found is None:
            try:
                found = catalogue.read(kept[1])
            except ProviderError:  # written down by another version, or damaged
                found = ()
            with self._lock:
                if self._kept.get(path) is kept:  # else it was asked anew meanwhile
                    self._read[key] = found
        return found

    def _load(self, path: Path) -> tuple[float, Reply] | None:
        with self._lock:
            if path in self._kept:
                return self._kept[path]
            try:
                found = json.loads(path.read_text("utf-8"))
                kept = float(found["told"]), Reply(int(found["status"]), found["body"].encode())
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                return None
            self._kept[path] = kept
            return kept

    def _path(self, vendor: Vendor) -> Path:
        host = hashlib.sha256(self._host(vendor).encode()).hexdigest()[:8]
        return home() / "catalogues" / f"{vendor.name}-{host}.json"


def _catalogue(kind: Kind) -> Catalogue:
    assert kind.catalogue is not None
    return kind.catalogue


def _unsold(operation: RemoteOperation, names: list[str]) -> InvalidInputError:
    title, wanted = operation.vendor.title, operation.own_model
    like = difflib.get_close_matches(wanted, names, 3, 0.5) or names[:3]
    return InvalidInputError(
        "model",
        f"{title}'s catalogue has no model {wanted[:80]!r} for this; it has {', '.join(like)} "
        f"and others.",
    )
