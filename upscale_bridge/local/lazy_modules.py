"""Modules of others that are not run before something of them is used."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def run_when_used(names: Collection[str]) -> Iterator[None]:
    """Let imports of these modules, while it is entered, not run them yet.

    Each runs when it is first asked for a name of its own. `importlib.util.LazyLoader` also does so
    for names that every module has, for which `inspect` asks all modules at once.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Lazy(spec.loader)
        return spec


class _Lazy(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._begun = False

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> Any:
            """Stand in for a name that the module does not have, as PEP 562 lets it."""
            if name.startswith("__") and name != "__all__":
                raise AttributeError(name)
            self._run(module)
            try:
                return vars(module)[name]
            except KeyError:
                raise AttributeError(f"{module.__name__} has no {name}") from None

        vars(module)["__getattr__"] = find

    def _run(self, module: ModuleType) -> None:
        """Run the module, once; others wait, and what it imports may ask for what there is."""
        with self._lock:
            if not self._begun:
                self._begun = True
                try:
                    self._loader.exec_module(module)
                except BaseException:
                    self._begun = False
                    raise
