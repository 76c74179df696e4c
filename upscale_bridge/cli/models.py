"""`upscale-bridge models`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError
from .common import add_common, add_model_folders, make_service
from .terminal import Terminal, interruptible, note, say


def add_commands(commands: Any) -> None:
    """Add `models` and its verbs."""
    models = commands.add_parser("models", help="list, download or describe models")
    models.set_defaults(command=_list_models, names=[], device="auto")
    add_model_folders(models)
    add_common(models)
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
        add_model_folders(verb)
        add_common(verb)


def _list_models(args: argparse.Namespace) -> int:
    library = make_service(args).library
    entries = [*library.entries(), *library.face_entries()]
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
        say(f"{entry.origin:9} {entry.name}{about}")
    return 0


def _download_models(args: argparse.Namespace) -> int:
    library = make_service(args).library
    shown = Terminal(len(args.names), quiet=args.json)
    with interruptible(shown):
        for index, name in enumerate(args.names):
            lane = shown.lane(index, name)
            path = library.find(name)
            if path is None:
                spec = library.known(name)
                path = library.fetch(spec, lane)
            if args.json:
                print(json.dumps({"name": path.stem, "path": str(path)}))
            else:
                note(f"{path.stem}: {path}")
    return 0


def _describe_model(args: argparse.Namespace) -> int:
    from ..local.loader import file_sha256, load_model

    name = args.names[0]
    path = Path(name) if Path(name).is_file() else make_service(args).library.find(name)
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
        "version": model.version or None,
    }
    if args.json:
        print(json.dumps(fields))
    else:
        for key, value in fields.items():
            if value is not None:
                say(f"{key:12} {value}")
    return 0
