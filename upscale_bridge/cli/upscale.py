"""`upscale-bridge local` and `extras`, and one command for each remote operation."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TextIO

from .. import batch
from ..contract.enlarging import BY_BOX, BY_FACTOR
from ..errors import (
    AuthError,
    InvalidInputError,
    MissingKeyError,
    QuotaError,
    StoppedError,
    UpscaleError,
)
from ..file_plans import FilePlan, plan_picture
from ..images.folders import is_there
from ..images.metadata import listed
from ..local.extras import LocalExtras
from ..local.operation import LocalOperation, LocalUpscale
from ..monitor import Monitor
from ..params import Operation
from ..vendors import OPERATIONS
from . import dry_run, through
from .common import add_common, add_model_folders, add_params, flag, make_service, number, values
from .terminal import Terminal, interruptible, note, report_stream

log = logging.getLogger(__name__)

Results = Generator[tuple[batch.FileJob, Callable[[], batch.FileResult]], None, None]
_SIZES = (
    *("size_by", "width", "height", "longest_edge", "shortest_edge", "megapixels", "fit_mode"),
)
"""Of the local operation: which of their flags is given tells what `size_by` tells elsewhere."""
_HOPELESS = (AuthError, MissingKeyError, QuotaError)  # would meet every other picture too


def add_commands(commands: Any) -> None:
    """Add the commands that upscale files."""
    local = _add(commands, "local", LocalUpscale, "upscale files on this machine")
    _add_sizes(local)
    through.add_flags(local)
    _add(commands, "extras", LocalExtras, "upscale files on this machine by one or two upscalers")
    for operation in OPERATIONS:
        about = f"upscale files through {operation.vendor.title}"
        remote = _add(commands, operation.command, operation, about)
        if operation.retirement:
            remote.epilog = f"{operation.retirement}. Own servers and compatible hosts go on."
        remote.add_argument(
            "--dry-run",
            action="store_true",
            help=dry_run.HELP,
        )


def _add(
    commands: Any, name: str, operation: type[Operation], about: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=operation.__doc__
    )
    parser.set_defaults(command=_run, operation=operation)
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files, folders, patterns, or -")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="a folder, a file for one input, or -"
    )
    add_params(parser, operation, leave_out=_SIZES)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps or xpu")
    parser.add_argument("--format", choices=("png", "jpeg", "webp", "tiff"))
    parser.add_argument(
        "--quality",
        dest="output_quality",
        type=_quality,
        default=95,
        metavar="N",
        help="of JPEG and WebP files, 1 to 100",
    )
    parser.add_argument("--suffix", default="", help="put behind the names of the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--recursive", action="store_true", help="look into folders of folders")
    parser.add_argument(
        "--strip-metadata", action="store_true", help="keep only pixels and colours"
    )
    add_model_folders(parser)
    add_common(parser)
    return parser


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add what tells the size of a local result in pixels; which of them is given says by what."""
    group = parser.add_argument_group("size, instead of --scale")
    declared = {item.name: item for item in LocalUpscale.params()}
    for name in ("width", "height", "longest_edge", "shortest_edge", "megapixels"):
        item = declared[name]
        kind, shown = (_positive, "PX") if item.kind == "int" else (number(item), "N")
        group.add_argument(flag(name), type=kind, metavar=shown, help=item.help)
    item = declared["fit_mode"]
    group.add_argument("--fit-mode", choices=item.choices, help=f"{item.help} Default: fit")


def _operation(args: argparse.Namespace) -> Any:
    """Return the operation of the flags, as this machine does it where it can."""
    kind: type[Operation] = args.operation
    if kind is not LocalUpscale:
        return kind(**values(args, kind))
    through.check(args)
    found = {item.name: getattr(args, item.name, None) for item in kind.params()}
    default = {item.name: item.default for item in kind.params()}
    given = {
        by: item.name
        for item in kind.params()
        if (by := item.only_for[1])
        and found[item.name] is not None
        and (item.name in _SIZES or found[item.name] != default[item.name])
    }
    if len(given) > 1:
        flags = " and ".join(flag(name) for name in given.values())
        raise InvalidInputError("size", f"Both {flags} tell how large the result is; name one.")
    if BY_BOX in given:  # the side that is not told follows from the other
        found |= {name: found[name] or 0 for name in ("width", "height")}
    found["size_by"] = next(iter(given), BY_FACTOR)
    return kind(**{name: value for name, value in found.items() if value is not None})


def _run(args: argparse.Namespace) -> int:
    operation = _operation(args)
    output = batch.OutputOptions(
        args.format, args.output_quality, args.suffix, args.overwrite, not args.strip_metadata
    )
    jobs = batch.plan_jobs(args.inputs, args.output, output, recursive=args.recursive, say=note)
    if getattr(args, "server", None):
        operation, service = through.there(operation), through.make_service(args)
    else:
        service = make_service(args)
    shown = Terminal(len(jobs), quiet=args.json)

    def work(job: batch.FileJob, monitor: Monitor) -> batch.FileResult:
        return batch.run_job(job, operation, output, service, monitor)

    with interruptible(shown):
        workers = 1
        if not isinstance(operation, LocalOperation):
            remote = operation

            def plan(job: batch.FileJob, monitor: Monitor) -> FilePlan:
                return plan_picture(job, remote, output, service, monitor)

            if args.dry_run:
                return dry_run.show(args, jobs, operation, plan, service, shown)
            dry_run.refuse_costly(jobs, operation, plan, service, shown)
            workers = service.client.settings().concurrency
        elif args.overwrite or any(
            isinstance(job.target, str) or not is_there(job.target) for job in jobs
        ):  # one message about a missing model, not one for every picture
            may_download = operation.may_download
            for name in operation.models():
                service.library.load(name, shown, may_download=may_download)
            service.faces.prepare(operation.faces(), shown, may_download=may_download)
        failures = report(args, results(jobs, work, shown, workers))
    if len(failures) > 1:
        note(f"{len(failures)} of {len(jobs)} pictures failed; their reasons stand above.")
    return failures[0].exit_code if failures else 0


def results(
    jobs: Sequence[batch.FileJob],
    work: Callable[[batch.FileJob, Monitor], batch.FileResult],
    shown: Terminal,
    workers: int,
) -> Results:
    """Yield each job with what returns its result, in order, `workers` at the same time."""

    def one(index: int, job: batch.FileJob) -> batch.FileResult:
        shown.check()
        return work(job, shown.lane(index, str(job.source)))

    if workers == 1:
        for index, job in enumerate(jobs):
            yield job, partial(one, index, job)
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, index, job) for index, job in enumerate(jobs)]
        try:
            for job, future in zip(jobs, futures, strict=True):
                yield job, future.result
        finally:
            shown.stopped = True
            for future in futures:
                future.cancel()


def report(args: argparse.Namespace, results: Results) -> list[UpscaleError]:
    """Say what became of each file and return what went wrong."""
    failures: list[UpscaleError] = []
    with contextlib.closing(results):
        for job, result in results:
            try:
                done = result()
            except (StoppedError, *_HOPELESS):
                raise
            except UpscaleError as error:
                failures.append(error)
                _say_failure(args, job, error)
            except Exception as unknown:  # a fault of ours costs one file as well
                log.debug("while upscaling %s", job.source, exc_info=True)
                failures.append(UpscaleError(_unexpected(unknown)))
                _say_failure(args, job, failures[-1])
            else:
                _say_done(args, done)
    return failures


def _unexpected(error: Exception) -> str:
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"Something unexpected went wrong ({told}); please report it with the file."


def _say_done(args: argparse.Namespace, done: batch.FileResult) -> None:
    source, target = str(done.job.source), str(done.job.target)
    if args.json:
        fields = {"file": source, "output": target, "status": done.status, **done.info}
        if done.left_out:
            fields["left_out"] = list(done.left_out)
        print(json.dumps(fields), file=_stream(done.job))
    elif done.status == "skipped":
        note(f"{source}: skipped, {target} exists (--overwrite replaces it)")
    else:
        note(f"{source} -> {target}: {done.summary}")
        if done.left_out:
            note(f"{source}: left out: {listed(done.left_out)}")


def _say_failure(args: argparse.Namespace, job: batch.FileJob, error: UpscaleError) -> None:
    if args.json:
        fields = {"file": str(job.source), "status": "failed"}
        fields |= {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(fields), file=_stream(job))
    else:
        note(f"{job.source}: FAILED: {error}")


def _stream(job: batch.FileJob) -> TextIO:
    """Return where JSON goes: standard output, unless the picture goes there."""
    return report_stream(picture_on_output=job.target == batch.STREAM)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of pixels, 1 or more, is needed, not {text!r}")
    return int(text)


def _quality(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 100 is needed, not {text!r}")
    return int(text)
