"""Between ComfyUI's VIDEO and files."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..upscale_bridge.errors import InvalidInputError, SettingsError
from . import host, video_io


@contextmanager
def file_of(video: Any, takes: Callable[[Path], bool] = lambda file: True) -> Iterator[Path]:
    """Give the file of a VIDEO; ComfyUI writes one first when it is of images, cut or cropped, or
    of a format that `takes` does not."""
    from comfy_api.latest import InputImpl

    from ..upscale_bridge.local.tensors import kind_of

    if not hasattr(video, "save_to"):
        raise InvalidInputError(
            "video", f"video must be a VIDEO, as Load Video gives one; got {kind_of(video)}."
        )
    if isinstance(video, InputImpl.VideoFromFile):
        source = video.get_stream_source()
        if isinstance(source, str) and _is_whole(video, Path(source)) and takes(Path(source)):
            yield Path(source)
            return
    saved = new_file()
    try:
        video.save_to(str(saved))
        yield saved
    finally:
        saved.unlink(missing_ok=True)


def _is_whole(video: Any, source: Path) -> bool:
    """Tell whether a VIDEO is all of its file; ComfyUI 0.8 cannot cut yet and has no method."""
    window = getattr(video, "get_active_trim_window", lambda: (0, 0))()
    found = video_io.look(source)
    return not any(window) and sorted(video.get_dimensions()) == sorted((found.width, found.height))


def new_file(ending: str = ".mp4") -> Path:
    """Return a name in ComfyUI's temporary folder, which it empties itself."""
    return host.temporary_folder() / f"{secrets.token_hex(8)}{ending}"


def borrow(kept: Path) -> Path:
    """Return a file in ComfyUI's temporary folder with the content of `kept`.

    It is the same file under a second name where both folders are on one disk, so that it takes
    neither time nor room.
    """
    target = new_file(kept.suffix)
    try:
        try:
            os.link(kept, target)
        except OSError:
            shutil.copyfile(kept, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise SettingsError(
            f"Cannot write {target} ({error.strerror}); free some space or start ComfyUI with "
            "another --temp-directory."
        ) from error
    return target
