"""`upscale-bridge keys`: the providers' keys, which never appear on a command line."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from typing import Any

from ..errors import InvalidInputError
from ..storage.keys import Keys
from ..vendors import VENDORS
from .common import add_common
from .terminal import note, say


def add_commands(commands: Any) -> None:
    """Add `keys` and its verbs."""
    keys = commands.add_parser("keys", help="show, set or remove the keys of remote services")
    keys.set_defaults(command=_list)
    add_common(keys)
    verbs = keys.add_subparsers(metavar="list|set|remove")
    # A verb that set defaults would undo the flags that stand before it.
    unset = argparse.SUPPRESS
    listing = verbs.add_parser("list", help="which keys are set", argument_default=unset)
    listing.set_defaults(command=_list)
    add_common(listing)
    for name, command, about in (
        ("set", _set, "ask for a key and keep it in a file that only you can read"),
        ("remove", _remove, "forget a key of that file"),
    ):
        verb = verbs.add_parser(name, help=about, argument_default=unset)
        verb.set_defaults(command=command)
        verb.add_argument("name", metavar="NAME", choices=[p.name for p in VENDORS])
        add_common(verb)


def _list(args: argparse.Namespace) -> int:
    keys = Keys()
    rows = []
    for vendor in VENDORS:
        found = keys.find(vendor.name)
        rows.append(
            {
                "name": vendor.name,
                "set": found is not None,
                "from": found.origin if found else None,
                "hint": found.secret.hint if found else None,
                "variable": vendor.key_variable,
                "page": vendor.key_page,
            }
        )
    if args.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        state = f"{row['hint']} ({row['from']})" if row["set"] else f"none; see {row['page']}"
        say(f"{row['name']:10} {state}")
    return 0


def _set(args: argparse.Namespace) -> int:
    prompt = f"Key for {args.name} (not shown): "
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise InvalidInputError("key", "No key was entered; nothing was changed.")
    keys = Keys()
    keys.set(args.name, text)
    note(f"The key for {args.name} is kept in {keys.path}.")
    found = keys.find(args.name)
    if found is not None and found.origin == "environment":
        note(f"{args.name.upper()}_API_KEY is set and comes first.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    gone = Keys().remove(args.name)
    note(f"The key for {args.name} is removed." if gone else f"There was no key for {args.name}.")
    return 0
