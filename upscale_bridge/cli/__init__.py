"""The command `upscale-bridge`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import StoppedError, UpscaleError
from . import catalogue, cluster, doctor, keys, models, serve, tasks, upscale, videos
from .common import fail
from .terminal import Log, Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or the `exit_code` of what went wrong."""
    args = _parser().parse_args(argv)
    _show_logs(verbose=args.verbose)
    try:
        status: int = args.command(args)
    except UpscaleError as error:
        return fail(error, args)
    except KeyboardInterrupt:
        return fail(StoppedError(), args)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        return status
    return 0


def _show_logs(*, verbose: bool) -> None:
    """Show warnings of ours and errors of others, or all that may be of interest."""
    handler = logging.StreamHandler()
    handler.setFormatter(Log("%(message)s"))
    if not verbose:
        ours = __name__.partition(".")[0]
        handler.addFilter(lambda r: r.levelno >= logging.ERROR or r.name.startswith(ours))
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="upscale-bridge",
        description="Upscale images and videos on this machine or through remote services.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    upscale.add_commands(commands)
    videos.add_commands(commands)
    catalogue.add_commands(commands)
    models.add_commands(commands)
    tasks.add_commands(commands)
    keys.add_commands(commands)
    serve.add_commands(commands)
    cluster.add_commands(commands)
    doctor.add_commands(commands)
    return parser
