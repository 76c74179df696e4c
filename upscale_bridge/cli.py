"""The command `upscale-bridge`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from . import __version__, batch
from .errors import InvalidInputError, StoppedError, UpscaleError
from .local.operation import LocalUpscale
from .params import Operation, Param
from .service import Service
from .terminal import Terminal, interruptible, note

_FLAGS = {"scale_factor": "--scale", "tile_size": "--tile"}  # shorter than the parameter's name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or the `exit_code` of what went wrong."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.ERROR, format="%(message)s")
    try:
        status: int = args.command(args)
    except UpscaleError as error:
        return _fail(error, args)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        return status
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="upscale-bridge", description="Upscale images on this machine."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_local(commands)
    _add_models(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models-dir", type=Path, action="append", help="a further model folder")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def _add_local(commands: Any) -> None:
    local = commands.add_parser(
        "local", help="upscale files on this machine", description=LocalUpscale.__doc__
    )
    local.set_defaults(command=_local)
    local.add_argument("inputs", nargs="+", metavar="IN", help="files, folders, patterns, or -")
    local.add_argument("-o", "--output", metavar="OUT", help="a folder, a file for one input, or -")
    add_params(local, LocalUpscale)
    size = local.add_argument_group("size, instead of --scale")
    for name in ("--width", "--height", "--longest-edge"):
        size.add_argument(name, type=_positive, metavar="PX")
    local.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps or xpu")
    local.add_argument("--format", choices=("png", "jpeg", "webp", "tiff"))
    local.add_argument(
        "--quality", type=_quality, default=95, metavar="N", help="of JPEG and WebP, 1 to 100"
    )
    local.add_argument("--suffix", default="", help="put behind the names of the results")
    local.add_argument("--overwrite", action="store_true", help="replace results that are there")
    local.add_argument("--recursive", action="store_true", help="look into folders of folders")
    local.add_argument("--strip-metadata", action="store_true", help="drop EXIF from the results")
    _add_common(local)


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list, download or describe models")
    models.set_defaults(command=_list_models, names=[])
    _add_common(models)
    verbs = models.add_subparsers(metavar="list|download|info")
    # A verb that set defaults would undo the flags that stand before it.
    unset = argparse.SUPPRESS
    listing = verbs.add_parser(
        "list", help="all models: here, or known and downloadable", argument_default=unset
    )
    listing.set_defaults(command=_list_models)
    download = verbs.add_parser("download", help="fetch known models", argument_default=unset)
    download.set_defaults(command=_download_models)
    download.add_argument("names", nargs="+", metavar="NAME")
    info = verbs.add_parser("info", help="what a model file holds", argument_default=unset)
    info.set_defaults(command=_describe_model)
    info.add_argument("names", nargs=1, metavar="FILE")
    for verb in (listing, download, info):
        _add_common(verb)


def add_params(parser: argparse.ArgumentParser, operation: type[Operation]) -> None:
    """Draw an operation's parameters as flags."""
    for item in operation.params():
        flag = _FLAGS.get(item.name, "--" + item.name.replace("_", "-"))
        text = item.help.replace("%", "%%")
        if item.kind == "bool":
            parser.add_argument(flag, dest=item.name, action="store_true", help=text)
            continue
        parser.add_argument(
            flag,
            dest=item.name,
            default=item.default,
            type=_number(item) if item.kind in ("int", "float") else str,
            choices=item.choices or None,
            metavar=None if item.choices else item.kind.upper(),
            help=f"{text} Default: {item.default}",
        )


def _number(item: Param) -> Any:
    kind = int if item.kind == "int" else float

    def convert(text: str) -> object:
        try:
            return item.check(kind(text))
        except InvalidInputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    convert.__name__ = item.kind  # argparse shows it when `text` is no number at all
    return convert


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of pixels, 1 or more, is needed, not {text!r}")
    return int(text)


def _quality(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 100 is needed, not {text!r}")
    return int(text)


def _local(args: argparse.Namespace) -> int:
    operation = LocalUpscale(**{p.name: getattr(args, p.name) for p in LocalUpscale.params()})
    output = batch.Output(
        args.format, args.quality, args.suffix, args.overwrite, not args.strip_metadata
    )
    size = batch.Size(args.width, args.height, args.longest_edge)
    jobs = batch.plan_jobs(args.inputs, args.output, output, recursive=args.recursive)
    service = _service(args)
    shown = Terminal(len(jobs), quiet=args.json)
    failures: list[UpscaleError] = []
    with interruptible(shown):
        if args.overwrite or any(
            isinstance(job.target, str) or not job.target.exists() for job in jobs
        ):  # one message about a missing model, not one for every picture
            service.library.load(operation.model, shown, may_download=operation.download)
        for index, job in enumerate(jobs):
            shown.begin(index, str(job.source))
            try:
                done = batch.run_job(job, operation, size, output, service, shown)
            except StoppedError:
                raise
            except UpscaleError as error:
                failures.append(error)
                _say_failure(args, job, error)
            else:
                _say_done(args, done)
    if len(failures) > 1:
        note(f"{len(failures)} of {len(jobs)} pictures failed; their reasons stand above.")
    return failures[0].exit_code if failures else 0


def _say_done(args: argparse.Namespace, done: batch.Done) -> None:
    source, target = str(done.job.source), str(done.job.target)
    if args.json:
        fields = {"file": source, "output": target, "status": done.status, **done.info}
        print(json.dumps(fields), file=_report_stream(done.job))
    elif done.status == "skipped":
        note(f"{source}: skipped, {target} exists (--overwrite replaces it)")
    else:
        note(f"{source} -> {target}: {done.summary}")


def _say_failure(args: argparse.Namespace, job: batch.Job, error: UpscaleError) -> None:
    if args.json:
        fields = {"file": str(job.source), "status": "failed"}
        fields |= {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(fields), file=_report_stream(job))
    else:
        note(f"{job.source}: FAILED: {error}")


def _report_stream(job: batch.Job) -> TextIO:
    """Return where JSON goes: standard output, unless the picture goes there."""
    return sys.stderr if job.target == batch.STREAM else sys.stdout


def _list_models(args: argparse.Namespace) -> int:
    entries = _service(args).library.entries()
    if args.json:
        rows = [
            {
                "name": entry.name,
                "origin": entry.origin,
                "path": str(entry.path) if entry.path else None,
                "licence": entry.spec.licence if entry.spec else None,
                "scale": entry.spec.scale if entry.spec else None,
                "url": entry.spec.url if entry.spec else None,
            }
            for entry in entries
        ]
        print(json.dumps(rows))
        return 0
    for entry in entries:
        about = f"  {entry.spec.about} ({entry.spec.licence})" if entry.spec else ""
        print(f"{entry.origin:9} {entry.name}{about}")
    return 0


def _download_models(args: argparse.Namespace) -> int:
    library = _service(args).library
    shown = Terminal(len(args.names), quiet=args.json)
    with interruptible(shown):
        for index, name in enumerate(args.names):
            shown.begin(index, name)
            path = library.find(name)
            if path is None:
                spec = library.known(name)
                path = library.fetch(spec, shown)
            if args.json:
                print(json.dumps({"name": path.stem, "path": str(path)}))
            else:
                note(f"{path.stem}: {path}")
    return 0


def _describe_model(args: argparse.Namespace) -> int:
    from .local.loader import file_sha256, load_model

    name = args.names[0]
    path = Path(name) if Path(name).is_file() else _service(args).library.find(name)
    if path is None:
        raise InvalidInputError("FILE", f"There is no file or model {name!r}; see `models list`.")
    model = load_model(path)
    fields = {
        "name": model.name,
        "path": str(path),
        "architecture": model.architecture,
        "scale": model.scale,
        "channels": model.channels,
        "fp16": model.supports_half,
        "bf16": model.supports_bfloat16,
        "halo": model.sight().halo,
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
    }
    if args.json:
        print(json.dumps(fields))
    else:
        print("\n".join(f"{key:12} {value}" for key, value in fields.items()))
    return 0


def _service(args: argparse.Namespace) -> Service:
    def folders() -> list[Path]:
        from .local.library import own_model_folder

        return [*(args.models_dir or ()), own_model_folder()]

    def memory() -> Any:
        from .local.devices import Memory

        return Memory(args.device)

    return Service(folders, memory)


def _fail(error: UpscaleError, args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
    else:
        note(f"{type(error).__name__}: {error}")
    return error.exit_code
