"""`upscale-bridge local --server`: the same by a server of ours, for many files at a time."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ..contract.enlarging import Enlarging
from ..errors import InvalidInputError, MissingKeyError
from ..local.operation import LocalUpscale
from ..network.addresses import check_base_url
from ..service import Service
from ..storage.keys import Keys, VariableKey
from ..storage.settings import Settings, address_name, environment, load_settings
from ..vendors import UpscaleBridgeLocal
from . import dry_run
from .common import number

_JOBS = next(replace(item, name="jobs") for item in Settings.params() if item.name == "concurrency")
_ONLY_THROUGH = {"key_from": "--key-from", "jobs": "--jobs", "dry_run": "--dry-run"}
_ONLY_HERE = {"device": "--device", "models_dir": "--models-dir", "download": "--download"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what sends files to a server."""
    group = parser.add_argument_group(
        "on a server", "the same, done by an `upscale-bridge serve` with the models that it has"
    )
    group.add_argument(
        "--server", metavar="URL", help="its address, such as https://upscale.example.com"
    )
    group.add_argument(
        "--key-from", metavar="VARIABLE", help="the environment variable that holds its key"
    )
    group.add_argument(
        "--jobs",
        type=number(_JOBS),
        metavar="N",
        help="pictures under way at the same time, 1 to 64; default: concurrency of the settings",
    )
    group.add_argument("--dry-run", action="store_true", help=dry_run.HELP)


def check(args: argparse.Namespace) -> None:
    """Raise `InvalidInputError` for flags that mean nothing on the machine that does the work."""
    useless = _ONLY_HERE if args.server else _ONLY_THROUGH
    given = [
        name for key, name in useless.items() if getattr(args, key) not in (None, False, "auto")
    ]
    if given and args.server:
        raise InvalidInputError(
            given[0], f"{given[0]} is about this machine; with --server leave it out."
        )
    if given:
        raise InvalidInputError(given[0], f"{given[0]} is for --server; name one, or leave it out.")


def there(operation: LocalUpscale) -> UpscaleBridgeLocal:
    """Return what a server does in place of the local operation."""
    return UpscaleBridgeLocal(
        **{item.name: getattr(operation, item.name) for item in Enlarging.params()}
    )


def make_service(args: argparse.Namespace) -> Service:
    """Return the service that speaks to the server of the flags.

    Raises `SettingsError` for an address or key that cannot be used, `TransportError`.
    """
    vendor = UpscaleBridgeLocal.vendor
    url = check_base_url(args.server, "--server")
    chosen: dict[str, object] = {address_name(vendor.name): url}
    if args.jobs is not None:
        chosen["concurrency"] = args.jobs
    return Service(keys=_keys(args.key_from, url), settings=lambda: load_settings(chosen))


def _keys(variable: str | None, url: str) -> Keys:
    """Return where the server's key is found; one that is set for another host never goes there."""
    if variable is None:
        own = load_settings().base_url(UpscaleBridgeLocal.vendor.name).rstrip("/")
        return Keys() if own == url else VariableKey("")
    if not environment(variable):  # it is not shown: somebody may have written the key itself
        raise MissingKeyError(
            "--key-from takes the name of the environment variable that holds the key, and there "
            "is none of the name that it was given; set it, or correct the name."
        )
    return VariableKey(variable)
