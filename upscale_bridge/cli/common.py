"""What the commands share: flags drawn from parameters, the service, how errors are said."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, UpscaleError
from ..params import Param, Params
from ..service import Service
from .terminal import note

_FLAGS = {  # where the parameter's own name would be long, or is that of another flag
    "scale_factor": "--scale",
    "tile_size": "--tile",
    "quality": "--service-quality",
}


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def add_model_folders(parser: argparse.ArgumentParser) -> None:
    """Add what commands that use local models take."""
    parser.add_argument("--models-dir", type=Path, action="append", help="a further model folder")


def flag(name: str) -> str:
    """Return the flag of a parameter."""
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def add_params(
    parser: argparse.ArgumentParser, declared: type[Params], leave_out: Sequence[str] = ()
) -> None:
    """Draw parameters as flags, but for those that the command takes by position."""
    plain, folded = (
        parser.add_argument_group("settings"),
        parser.add_argument_group("rarely changed"),
    )
    for item in declared.params():
        if item.name in leave_out:
            continue
        group = folded if item.advanced else plain
        name = flag(item.name)
        text = item.help.replace("%", "%%")
        if item.kind == "bool" and item.default is False:
            group.add_argument(name, dest=item.name, action="store_true", help=text)
            continue
        if item.kind == "bool":
            action = argparse.BooleanOptionalAction
            group.add_argument(name, dest=item.name, action=action, default=True, help=text)
            continue
        shown = str(item.default).replace("%", "%%") or "none"
        odd = any("," in choice for choice in item.choices)  # argparse would list them by commas
        if odd:
            text += f" One of: {item.listed}."
        group.add_argument(
            name,
            dest=item.name,
            default=item.default,
            type=number(item) if item.kind in ("int", "float") else str,
            choices=item.choices or None,
            metavar=None if item.choices and not odd else item.kind.upper(),
            help=f"{text} Default: {shown}",
        )


def values(args: argparse.Namespace, declared: type[Params]) -> dict[str, Any]:
    """Return what the flags that `add_params` drew were given."""
    return {item.name: getattr(args, item.name) for item in declared.params()}


def make_service(args: argparse.Namespace) -> Service:
    """Return the service with the folders and the device of the flags."""

    def folders() -> list[Path]:
        from ..local.library import own_model_folder

        return [*(args.models_dir or ()), own_model_folder()]

    def memory() -> Any:
        from ..local.devices import Memory

        return Memory(args.device)

    return Service(folders, memory)


def fail(error: UpscaleError, args: argparse.Namespace) -> int:
    """Say an error and return its exit status."""
    if args.json:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
    else:
        note(f"{type(error).__name__}: {error}")
    return error.exit_code


def number(item: Param) -> Any:
    """Return what makes a parameter's value of a flag's text, for argparse."""
    kind = int if item.kind == "int" else float

    def convert(text: str) -> object:
        try:
            return item.check(kind(text))
        except InvalidInputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    convert.__name__ = item.kind  # argparse shows it when `text` is no number at all
    return convert
