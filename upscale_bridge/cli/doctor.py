"""`upscale-bridge doctor`: what is here, what is missing, and the next step.

Its output is what a report of a fault needs and may be shown to anybody: keys are not in it, not
even their last characters, addresses are without path and user, and the user's home is `~`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from .. import __version__
from ..contract.enlarging import SHIPPED_MODEL
from ..errors import MissingKeyError, SettingsError, UpscaleError
from ..local.operation import LocalUpscale
from ..network.addresses import check_base_url
from ..remote.journal import FILE as JOURNAL
from ..remote.journal import Journal
from ..storage.keys import Keys
from ..storage.settings import Settings, home, load_settings
from ..texts import shortened
from ..vendors import ENTRIES, VENDORS
from .common import add_common, add_model_folders, make_service
from .findings import Findings, amount

NEEDED = {"torch": "", "numpy": "", "Pillow": "9.5", "requests": "2.28", "spandrel": "0.3.4"}
"""Packages and their oldest versions, as pyproject.toml declares them."""
_OPTIONAL = ("safetensors", "torchvision", "triton", "starlette", "uvicorn", "prometheus-client")
_MOST_MODELS = 40
_LEAST_FREE = 1 << 30
_TRIAL = b"P6\n32 32\n255\n" + bytes(range(256)) * 12  # a picture of 32 x 32 pixels


def add_commands(commands: Any) -> None:
    """Add `doctor`."""
    about = "say what is here, what is missing and the next step; for reports of faults"
    parser = commands.add_parser("doctor", help=about, description=about)
    parser.set_defaults(command=_run)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    parser.add_argument(
        *("--online",),
        action="store_true",
        help="ask services whether they accept the keys, free of cost; without, nothing is sent",
    )
    add_model_folders(parser)
    add_common(parser)


def _run(args: argparse.Namespace) -> int:
    found = examine(args)
    if args.json:
        told = {"version": __version__, "facts": found.facts}
        print(json.dumps({**told, "problems": [asdict(one) for one in found.problems]}))
    else:
        found.show()
    return 1 if any(problem.stops for problem in found.problems) else 0


def examine(args: argparse.Namespace) -> Findings:
    """Look at everything; asks nobody unless `--online` says so, and makes no file or folder."""
    found = Findings()
    looks: list[Callable[[Findings, argparse.Namespace], None]]
    looks = [_system, _packages, _devices, _folders, _journal, _keys, _hosts, _models, _trial]
    if args.online:
        looks.append(_answers)
    for look in looks:
        try:
            look(found, args)
        except (UpscaleError, OSError) as error:
            found.complain(str(error))
    return found


def _system(found: Findings, _args: argparse.Namespace) -> None:
    found.tell("system", "python", f"{platform.python_version()}, {sys.executable}")
    found.tell("system", "os", f"{platform.system()} {platform.release()} {platform.machine()}")
    found.tell("system", "program", Path(__file__).parents[2])


def _packages(found: Findings, _args: argparse.Namespace) -> None:
    for name, least in NEEDED.items():
        version = _version(name)
        found.tell("packages", name, version or "missing")
        if not version:
            how = f"Run `{Path(sys.executable).name} -m pip install {name}`"
            if name == "torch":
                how = "Install the build for your GPU: https://pytorch.org/get-started/locally"
            found.complain(f"{name} is missing. {how}.", stops=True)
        elif _numbers(version) < _numbers(least):
            found.complain(
                f"{name} {version} is older than {least}. "
                f"Run `{Path(sys.executable).name} -m pip install --upgrade {name}`."
            )
    for name in _OPTIONAL:
        if version := _version(name):
            found.tell("packages", name, version)


def _version(package: str) -> str:
    try:
        return metadata.version(package) or "unknown"
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _devices(found: Findings, args: argparse.Namespace) -> None:
    if not _version("torch"):
        return  # said already
    try:
        from ..local.devices import Memory, backend, described
    except (ImportError, OSError) as error:
        found.complain(f"PyTorch cannot be loaded ({_words(error)}). Install it anew.", stops=True)
        return
    found.tell("devices", "torch computes with", backend())
    for name, about in described().items():
        found.tell("devices", name, about)
    if backend() == "CPU only" and shutil.which("nvidia-smi"):
        found.complain(
            "This PyTorch cannot use the NVIDIA GPU of this machine. Install the build with CUDA: "
            "https://pytorch.org/get-started/locally."
        )
    found.tell("devices", "chosen", Memory(args.device).device())


def _folders(found: Findings, args: argparse.Namespace) -> None:
    further = ((f"models {number}", one) for number, one in enumerate(args.models_dir or (), 1))
    for name, path in (("data", home()), *further):
        there = next(one for one in (path, *path.absolute().parents) if _exists(one))
        writable = there.is_dir() and os.access(there, os.W_OK)
        free = shutil.disk_usage(there).free
        state = "there" if _exists(path) else "made when needed"
        if name != "data" and not path.is_dir():
            state = "not there"
            found.complain(f"{path} is no folder; name another one with --models-dir.")
        elif not writable:
            state += ", cannot be written to"
            found.complain(f"Nothing can be kept in {path}; UPSCALE_BRIDGE_HOME names another one.")
        elif free < _LEAST_FREE:
            found.complain(f"Only {amount(free)} are free in {path}; make room.")
        found.tell("folders", name, f"{path}; {state}, {amount(free)} free")


def _journal(found: Findings, _args: argparse.Namespace) -> None:
    path = home() / JOURNAL
    if not _exists(path):
        found.tell("folders", "journal", "none yet")
        return
    damaged = Journal(home()).is_damaged()
    found.tell("folders", "journal", f"{amount(path.stat().st_size)}{', damaged' * damaged}")
    if damaged:
        found.complain(
            "The journal of paid tasks is damaged, and nothing is submitted meanwhile. End all "
            "programs that use it and run `upscale-bridge tasks repair`."
        )


def _keys(found: Findings, _args: argparse.Namespace) -> None:
    for vendor in VENDORS:
        try:
            key = Keys().find(vendor.name)
        except SettingsError as error:
            found.tell("keys", vendor.title, "unusable")
            found.complain(str(error))
            continue
        how = f"none; set one with `upscale-bridge keys set {vendor.name}`"
        found.tell("keys", vendor.title, f"found in the {key.origin}" if key else how)


def _hosts(found: Findings, _args: argparse.Namespace) -> None:
    settings = load_settings()
    for entry in ENTRIES:
        vendor = entry.vendor
        chosen = settings.base_url(vendor.name)
        ended = [one.title for one in (*entry.operations, *entry.videos) if one.retirement]
        text = f"{_origin(chosen)}, another host" if chosen else f"{vendor.base_url}, its own"
        if ended and not chosen:
            text += f"; ended or deprecated: {', '.join(ended)}"
        found.tell("hosts", vendor.title, text)
        try:  # whether the name leads into a private network is not looked up here
            check_base_url(chosen or vendor.base_url, vendor.url_variable, lambda _: ["127.0.0.1"])
        except SettingsError as error:
            found.complain(str(error))
    addresses = {f"{vendor.name}_base_url" for vendor in VENDORS}
    for item in Settings.params():
        value = getattr(settings, item.name)
        if item.name not in addresses and value != item.default:
            found.tell("settings", item.name, value)
    proxies = sorted(name for name in getproxies() if name != "no")
    found.tell("hosts", "proxies", ", ".join(proxies) or "none")


def _models(found: Findings, args: argparse.Namespace) -> None:
    try:
        library = make_service(args).library
    except (ImportError, OSError):  # said where devices are
        return
    entries = [*library.entries(), *library.face_entries()]
    here = [entry for entry in entries if entry.path is not None]
    for entry in here[:_MOST_MODELS]:
        size = entry.path.stat().st_size if entry.path and entry.path.exists() else 0
        found.tell("models", entry.name, f"{entry.origin}, {amount(size)}")
        wanted = entry.spec.size if entry.spec else None
        if wanted is not None and size != wanted:
            found.complain(
                f"{entry.name} has {size} bytes, and the known model of that name {wanted}: the "
                "file is cut off, or another model. If it does not load, fetch it anew."
            )
    if len(here) > _MOST_MODELS:
        found.tell("models", "more", len(here) - _MOST_MODELS)
    if SHIPPED_MODEL not in {entry.name for entry in here if entry.origin == "shipped"}:
        found.complain(f"{SHIPPED_MODEL}, which ships, is not there. Install the program anew.")


def _trial(found: Findings, args: argparse.Namespace) -> None:
    """Enlarge a small picture by the model that ships."""
    if any(problem.stops for problem in found.problems):
        return
    try:
        from ..images import codecs

        picture = codecs.decode(_TRIAL, "trial.ppm")
        began = time.monotonic()
        result = make_service(args).run(LocalUpscale(scale_factor=2.0), picture.pixels[None])
        found.tell("trial", "enlarged", f"{result.summary}; {time.monotonic() - began:.1f} s")
    except Exception as error:  # whatever it is, it is what is being looked for
        found.tell("trial", "failed", f"{type(error).__name__}: {_words(error)}")
        found.complain(f"A trial on this machine failed: {_words(error)}", stops=True)


def _answers(found: Findings, args: argparse.Namespace) -> None:
    client = make_service(args).client
    for vendor in VENDORS:
        if not client.hosts.is_vendor(vendor):
            found.tell("answers", vendor.title, "not asked, it is another host")
            continue
        try:
            found.tell("answers", vendor.title, client.hosts.try_key(vendor))
        except MissingKeyError:
            found.tell("answers", vendor.title, "not asked, there is no key")
        except UpscaleError as error:
            found.tell("answers", vendor.title, type(error).__name__)
            found.complain(f"{vendor.title}: {error}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be looked into
        return False


def _origin(url: str) -> str:
    """Return scheme, host and port of what may be an address: user and path may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _words(error: Exception) -> str:
    return shortened(str(error)) or type(error).__name__
