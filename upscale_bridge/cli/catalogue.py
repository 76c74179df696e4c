"""`upscale-bridge catalogue`: the models that vendors list, and the parameters of one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..contract.catalogue import CatalogueModel
from ..contract.operation import RemoteOperation
from ..contract.schema import SchemaField
from ..errors import InvalidInputError, UpscaleError
from ..service import default_service
from ..vendors import OPERATIONS, VIDEOS
from .common import add_common
from .terminal import note, say


def add_commands(commands: Any) -> None:
    """Add `catalogue`."""
    parser = commands.add_parser("catalogue", help="list the models that services sell")
    parser.set_defaults(command=_run)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="say the parameters of this one")
    add_common(parser)


def _run(args: argparse.Namespace) -> int:
    kinds = [kind for kind in (*OPERATIONS, *VIDEOS) if kind.catalogue is not None]
    found = [(kind, model) for kind in kinds for model in _models(kind)]
    if args.model is None:
        for kind, model in found:
            _list(args, kind, model)
        return 0
    for kind, model in found:
        if model.name == args.model:
            _describe(args, kind, model)
            return 0
    raise InvalidInputError(
        "MODEL", f"No catalogue has a model {args.model[:80]!r}; without MODEL all are listed."
    )


def _models(kind: type[RemoteOperation]) -> tuple[CatalogueModel, ...]:
    """Return the live catalogue where it can be read, else what was told last, or ships."""
    client = default_service().client
    try:
        if not client.offers.is_fresh(kind):
            client.offers.refresh(kind)
    except UpscaleError as error:
        note(f"{kind.vendor.title}'s live catalogue cannot be read: {error}")
    return client.models(kind)


def _list(args: argparse.Namespace, kind: type[RemoteOperation], model: CatalogueModel) -> None:
    if args.json:
        print(json.dumps(_told(kind, model)))
    else:
        say(f"{kind.command:16} {model.name:42} {model.price or 'price not known'}")


def _describe(args: argparse.Namespace, kind: type[RemoteOperation], model: CatalogueModel) -> None:
    if args.json:
        print(json.dumps(_told(kind, model)))
        return
    say(f"{model.name}: {model.about}")
    say(f"upscale-bridge {kind.command} --model {model.name} --options '{{...}}'")
    if model.schema is None:
        say("Its parameters come with the live catalogue, which needs a key.")
        return
    for field in model.schema.fields:
        say(f"  {field.name:20} {_values(field)}")
        if field.help:
            say(f"  {'':20} {field.help}")


def _values(field: SchemaField) -> str:
    shown = ", ".join(map(str, field.choices)) or " or ".join(field.kinds) or "any"
    if field.minimum is not None:
        shown += f", {field.minimum:g} or more"
    if field.maximum is not None:
        shown += f", at most {field.maximum:g}"
    if field.default is not None:
        shown += f"; default {field.default}"
    return f"{shown}; required" if field.required else shown


def _told(kind: type[RemoteOperation], model: CatalogueModel) -> dict[str, Any]:
    fields = None if model.schema is None else [vars(one) for one in model.schema.fields]
    return {
        "command": kind.command,
        "model": model.name,
        "about": model.about,
        "price": model.price,
        "parameters": fields,
    }
