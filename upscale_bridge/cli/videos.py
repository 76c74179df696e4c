"""A command for each remote operation on videos."""

from __future__ import annotations

import argparse
from typing import Any

from .. import batch
from ..contract.operation import RemoteOperation
from ..file_plans import FilePlan, plan_video
from ..images.folders import VIDEOS
from ..monitor import Monitor
from ..service import Service
from ..vendors import VIDEOS as OPERATIONS
from . import dry_run
from .common import add_common, add_params, values
from .terminal import Terminal, interruptible, note
from .upscale import report, results


def add_commands(commands: Any) -> None:
    """Add the commands that upscale videos."""
    for operation in OPERATIONS:
        _add(commands, operation)


def _add(commands: Any, operation: type[RemoteOperation]) -> None:
    parser = commands.add_parser(
        operation.command,
        help=f"upscale videos through {operation.vendor.title}",
        description=operation.__doc__,
    )
    parser.set_defaults(command=_run, operation=operation)
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files, folders or patterns")
    parser.add_argument("-o", "--output", metavar="OUT", help="a folder, or a file for one input")
    add_params(parser, operation)
    parser.add_argument("--suffix", default="", help="put behind the names of the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--recursive", action="store_true", help="look into folders of folders")
    parser.add_argument("--dry-run", action="store_true", help=dry_run.HELP)
    add_common(parser)


def _run(args: argparse.Namespace) -> int:
    operation = args.operation(**values(args, args.operation))
    output = batch.OutputOptions(suffix=args.suffix, overwrite=args.overwrite)
    jobs = batch.plan_jobs(
        args.inputs, args.output, output, recursive=args.recursive, say=note, kind=VIDEOS
    )
    service = Service()
    shown = Terminal(len(jobs), quiet=args.json)

    def work(job: batch.FileJob, monitor: Monitor) -> batch.FileResult:
        return batch.run_video_job(job, operation, output, service, monitor)

    def plan(job: batch.FileJob, monitor: Monitor) -> FilePlan:
        return plan_video(job, operation, output, service, monitor)

    with interruptible(shown):
        if args.dry_run:
            return dry_run.show(args, jobs, operation, plan, service, shown)
        dry_run.refuse_costly(jobs, operation, plan, service, shown)
        workers = service.client.settings().concurrency
        failures = report(args, results(jobs, work, shown, workers))
    if len(failures) > 1:
        note(f"{len(failures)} of {len(jobs)} videos failed; their reasons stand above.")
    return failures[0].exit_code if failures else 0
