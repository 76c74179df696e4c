"""`upscale-bridge worker`, and what `serve` takes to be one listener of a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, SettingsError
from ..storage.settings import environment
from .common import add_common
from .terminal import note

if TYPE_CHECKING:
    from ..server.bounds import Bounds
    from ..server.cluster.parts import Addresses

_PACKAGES = {
    "celery": "celery",
    "redis": "redis",
    "sqlalchemy": "SQLAlchemy",
    "psycopg": "psycopg[binary]",
    "s3fs": "s3fs",
}
"""Names of modules and of what brings them."""
_NEEDED = {"redis": "redis", "postgresql": "psycopg", "s3:": "s3fs"}
"""What addresses that start in some way need."""
_PARTS = {
    "broker": ("URL", "redis://HOST or amqp://USER:PASSWORD@HOST: what brings turns to workers"),
    "store": ("URL", "postgresql://USER:PASSWORD@HOST/NAME, or sqlite:////PATH on one machine"),
    "files": ("URL", "s3://BUCKET/PREFIX, or a folder that all machines see"),
}


def add_commands(commands: Any) -> None:
    """Add `worker`."""
    worker = commands.add_parser(
        "worker",
        help="do the tasks of a cluster on this machine's devices",
        description="Do tasks that listeners (`serve --broker ...`) have accepted, on any machine.",
    )
    worker.set_defaults(command=_work)
    worker.add_argument("--device", action="append", help="auto, cpu, cuda:0, ...; one worker each")
    add_parts(worker)
    add_bounds(worker)
    worker.add_argument(
        "--disk-gb", type=float, default=20.0, metavar="N", help="for images and results of all"
    )
    worker.add_argument(
        "--drain-seconds",
        type=float,
        default=60.0,
        metavar="N",
        help="at SIGTERM, time for the task in hand before another worker gets it",
    )
    add_common(worker)


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the parts of a cluster."""
    group = parser.add_argument_group(
        "cluster", "each may be an environment variable instead: UPSCALE_BRIDGE_BROKER, ..."
    )
    for name, (metavar, text) in _PARTS.items():
        group.add_argument(f"--{name}", metavar=metavar, help=text)
    group.add_argument(
        "--lease-seconds",
        type=float,
        default=30.0,
        metavar="N",
        help="after which a worker that is silent counts as dead",
    )


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """Add the flags that bound a task."""
    parser.add_argument(
        "--task-minutes", type=float, default=30.0, metavar="N", help="longest time of a task"
    )
    parser.add_argument(
        "--task-gb",
        type=float,
        default=0.0,
        metavar="N",
        help="most memory of a task (Linux); default: 3/4 of the machine's, for all workers",
    )


def bounds_of(args: argparse.Namespace) -> Bounds:
    """Return what `add_bounds` was given."""
    from ..server.bounds import Bounds

    return Bounds(60 * args.task_minutes, int(args.task_gb * (1 << 30)))


def addresses_of(args: argparse.Namespace) -> Addresses | None:
    """Return what `add_parts` was given, None for no cluster.

    Raises `InvalidInputError` where a part is missing, `SettingsError` where a package is.
    """
    given = {
        name: getattr(args, name) or environment(f"UPSCALE_BRIDGE_{name.upper()}")
        for name in _PARTS
    }
    if not any(given.values()):
        return None
    missing = [f"--{name}" for name, value in given.items() if not value]
    if missing:
        raise InvalidInputError(
            missing[0], f"A cluster also needs {' and '.join(missing)}; docs/SCALING.md tells how."
        )
    _require_packages(given)
    from ..server.cluster.parts import Addresses

    return Addresses(given["broker"], given["store"], given["files"], args.lease_seconds)


def _require_packages(given: Mapping[str, str]) -> None:
    """Raise `SettingsError` where a package is missing that these parts need."""
    needed = ["celery", "sqlalchemy"]
    needed += [one for start, one in _NEEDED.items() if any(map(_starting(start), given.values()))]
    missing = [_PACKAGES[one] for one in needed if find_spec(one) is None]
    if missing:
        wanted = " ".join(f"'{one}'" for one in _PACKAGES.values())
        raise SettingsError(
            f"The package {missing[0]} is missing; `pip install {wanted}` brings all that a "
            "cluster needs."
        )


def _starting(start: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(start)


def _work(args: argparse.Namespace) -> int:
    addresses = addresses_of(args)
    if addresses is None:
        raise InvalidInputError(
            "--broker", "A worker needs --broker, --store and --files; docs/SCALING.md tells how."
        )
    from ..server.cluster import worker

    devices = tuple(args.device or ("auto",))
    note(f"Working with {', '.join(devices)} (Ctrl-C stops)")
    most_bytes = int(args.disk_gb * (1 << 30))
    worker.run(addresses, devices, bounds_of(args), most_bytes, args.drain_seconds)
    return 0
