"""`upscale-bridge serve` and `server-keys`."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.enlarging import SHIPPED_MODEL
from ..errors import DownloadError, InvalidInputError, SettingsError
from ..service import Service
from ..storage.settings import home
from ..vendors import ENTRIES
from . import cluster
from .common import add_common
from .terminal import Terminal, interruptible, note

if TYPE_CHECKING:
    from ..server.api_clients import ApiClients

_PACKAGES = ("starlette", "uvicorn", "prometheus_client")


def add_commands(commands: Any) -> None:
    """Add `serve` and `server-keys`."""
    *first, last = (entry.vendor.title for entry in ENTRIES if entry.servers)
    named = f"{', '.join(first)} and {last}"
    serve = commands.add_parser(
        "serve",
        help=f"speak the APIs of {named}, on this machine's GPU",
        description=f"Answer the calls of clients written for {named}.",
    )
    serve.set_defaults(command=_serve)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; all others need keys"
    )
    serve.add_argument("--port", type=int, default=8190)
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        help="a further name of this host, as behind a proxy; needs keys",
    )
    serve.add_argument("--device", action="append", help="auto, cpu, cuda:0, ...; one worker each")
    serve.add_argument("--queue", type=int, default=1000, metavar="N", help="jobs that may wait")
    serve.add_argument(
        "--disk-gb", type=float, default=20.0, metavar="N", help="for images and results"
    )
    serve.add_argument("--body-mb", type=int, default=64, metavar="N", help="largest request")
    cluster.add_bounds(serve)
    serve.add_argument(
        "--allow-url", action="store_true", help="fetch images from public addresses on request"
    )
    serve.add_argument(
        "--download",
        action="store_true",
        help="first fetch those of the vendors' models that are missing; licences are shown",
    )
    serve.add_argument(
        "--substitute",
        action="store_true",
        help=f"let {SHIPPED_MODEL} stand in for known models that are missing, and say so",
    )
    cluster.add_parts(serve)
    _add_keys_file(serve)
    add_common(serve)
    keys = commands.add_parser("server-keys", help="make or remove keys for clients of `serve`")
    keys.set_defaults(command=_list)
    verbs = keys.add_subparsers(metavar="list|add|remove")
    listing = verbs.add_parser("list", help="all names")
    listing.set_defaults(command=_list)
    add = verbs.add_parser("add", help="make a key and show it, once")
    add.set_defaults(command=_add)
    add.add_argument("name", metavar="NAME")
    remove = verbs.add_parser("remove", help="make a key worthless")
    remove.set_defaults(command=_remove)
    remove.add_argument("name", metavar="NAME")
    for verb in (listing, add, remove):
        _add_keys_file(verb)
        add_common(verb)
    _add_keys_file(keys)
    add_common(keys)


def _add_keys_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=Path, metavar="FILE", help="default: in the data folder")


def _customers(args: argparse.Namespace) -> ApiClients:
    with _explained():
        from ..server.api_clients import ApiClients
    return ApiClients(args.keys or home() / "server-keys.json")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where the server, or a package that it needs, is not there to be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _PACKAGES:
            raise SettingsError(
                f"The package {package} is missing; `pip install {' '.join(_PACKAGES)}` brings all "
                "that a server needs."
            ) from error
        if error.name == f"{__package__.rpartition('.')[0]}.server":
            raise SettingsError(
                "This copy has no server: what ComfyUI's registry hands out leaves it away. Clone "
                "the repository and run `pip install .` in it."
            ) from error
        raise


def _serve(args: argparse.Namespace) -> int:
    with _explained():
        from ..server.http import Options, customers_of, serve
    addresses = cluster.addresses_of(args)
    if addresses is not None and args.device:
        raise InvalidInputError(
            "--device", "Devices of a cluster work elsewhere: `upscale-bridge worker --device ...`."
        )
    options = Options(
        folder=home() / "server",
        keys=_customers(args).path,
        host=args.host,
        port=args.port,
        allowed_hosts=tuple(args.allow_host),
        devices=tuple(args.device or ("auto",)),
        most_waiting=args.queue,
        most_bytes=int(args.disk_gb * (1 << 30)),
        most_body=args.body_mb << 20,
        fetch_addresses=args.allow_url,
        bounds=cluster.bounds_of(args),
        substitute=args.substitute,
    )
    customers_of(options)  # before a long download
    service = Service()
    if args.download:
        _download(service, quiet=args.json)
    _tell_missing(service, args)
    note(f"Listening on http://{args.host}:{args.port} (Ctrl-C stops)")
    if addresses is None:
        serve(options)
    else:
        from ..server.cluster import listener

        listener.serve(options, addresses)
    return 0


def _download(service: Service, *, quiet: bool) -> None:
    """Fetch the vendors' models; what cannot be fetched does not keep the server from its work."""
    from ..server.processing import missing_models

    specs = missing_models(service)
    shown = Terminal(len(specs), quiet=quiet)
    with interruptible(shown):
        for index, spec in enumerate(specs):
            try:
                service.library.fetch(spec, shown.lane(index, spec.name))
            except DownloadError as error:
                note(f"{spec.name}: {error}")


def _tell_missing(service: Service, args: argparse.Namespace) -> None:
    """Say which of the vendors' models are not here, what that means, and how they come."""
    from ..server.processing import missing_models

    specs = missing_models(service)
    if not specs:
        return
    note("Models that the vendors offer and that are not on this server:")
    for spec in specs:
        note(f"  {spec.terms}")
    ways = ["`upscale-bridge models download NAME` fetches one"]
    if not args.download:
        ways.append("`serve --download` fetches all")
    if args.substitute:
        note(f"{SHIPPED_MODEL} stands in for them; {', '.join(ways)}.")
    else:
        ways.append(f"with `serve --substitute` {SHIPPED_MODEL} stands in")
        note(f"Requests for them are refused; {', '.join(ways)}.")


def _list(args: argparse.Namespace) -> int:
    names = _customers(args).names()
    print(json.dumps(names) if args.json else "\n".join(names) or "No keys.")
    return 0


def _add(args: argparse.Namespace) -> int:
    print(_customers(args).add(args.name))
    note("Keep it: only its hash is stored.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    _customers(args).remove(args.name)
    note(f"The key of {args.name} is worthless now.")
    return 0
