"""What only ComfyUI knows: folders, memory, pages and how to say errors.

ComfyUI's modules are imported inside the functions, so that the pack imports and tests without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.errors import OutOfMemoryError, SettingsError, StoppedError, UpscaleError
from ..upscale_bridge.service import Service
from ..upscale_bridge.storage.keys import Keys

if TYPE_CHECKING:
    import torch

    from ..upscale_bridge.local.devices import Memory


@lru_cache(maxsize=1)
def service() -> Service:
    """Return the service with ComfyUI's folders and memory manager."""
    return Service(model_folders, _memory, keys())


@lru_cache(maxsize=1)
def keys() -> Keys:
    """Return the keys, which lie in a folder of the user folder that ComfyUI serves to nobody."""
    return Keys(_private_folder)


def _private_folder() -> Path:
    import folder_paths

    # The rule of get_system_user_directory, which ComfyUI before 0.3.65 does not have.
    return Path(folder_paths.get_user_directory()) / "__upscale_bridge"


def model_folders() -> list[Path]:
    """Return all folders of upscale models, extra_model_paths.yaml included, then our own."""
    import folder_paths

    from ..upscale_bridge.local.library import own_model_folder

    return [*map(Path, folder_paths.get_folder_paths("upscale_models")), own_model_folder()]


def temporary_folder() -> Path:
    """Return our part of ComfyUI's temporary folder, which it empties itself and /view shows."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory(), "upscale_bridge")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot make {folder} ({error.strerror}); free some space or start ComfyUI with "
            "another --temp-directory."
        ) from error
    return folder


def _memory() -> Memory:
    """Return the memory policy that asks ComfyUI's manager for everything."""
    import comfy.model_management as manager
    from comfy.model_patcher import ModelPatcher

    from ..upscale_bridge.local.devices import Memory, bring

    class ComfyMemory(Memory):
        def device(self) -> torch.device:
            device: torch.device = manager.get_torch_device()
            return device

        def free_bytes(self, device: torch.device) -> int | None:
            return None if device.type == "cpu" else int(manager.get_free_memory(device))

        def make_room(self, size: int, device: torch.device) -> None:
            manager.free_memory(size, device)

        def place(self, module: torch.nn.Module, device: torch.device) -> None:
            if device.type != "cpu":
                # A patcher lets the manager evict the model when another one needs the room. It
                # lives as long as the module: the manager takes a lost patcher for a leak.
                if not hasattr(module, "upscale_bridge_patcher"):
                    offload = manager.unet_offload_device()
                    _forget_notes(module, ModelPatcher)
                    module.upscale_bridge_patcher = ModelPatcher(module, device, offload)
                manager.load_models_gpu([module.upscale_bridge_patcher])
            bring(module, device)  # newer managers leave foreign modules where they are

        def empty_cache(self, device: torch.device) -> None:
            manager.soft_empty_cache()

    return ComfyMemory()


def _forget_notes(module: torch.nn.Module, patcher: Any) -> None:
    """Take from a copy what ComfyUI's manager noted on the original, and would believe of it.

    Newer loaders wrap a model themselves; what is noted (how much of it is loaded, and where) came
    along with the copy.
    """
    import torch

    blank = torch.nn.Module()
    own = set(vars(blank))
    patcher(blank, torch.device("cpu"), torch.device("cpu"))
    for name in set(vars(blank)) - own:
        vars(module).pop(name, None)
    for part in module.modules():
        for name in [name for name in vars(part) if name.startswith("comfy_")]:
            delattr(part, name)


def to_intermediate(images: torch.Tensor) -> torch.Tensor:
    """Bring a result to where, and into the number format in which, ComfyUI passes it on."""
    import comfy.model_management as manager

    device = manager.intermediate_device()
    if hasattr(manager, "intermediate_dtype"):  # ComfyUI 0.18 and newer
        return images.to(device, manager.intermediate_dtype())
    return images.to(device)


def page_is_open() -> bool:
    """Tell whether a page is connected to ComfyUI's server."""
    from server import PromptServer

    return bool(getattr(getattr(PromptServer, "instance", None), "sockets", None))


def tell_page(event: str, data: dict[str, Any], page: str | None = None) -> None:
    """Send an event to one `page` or to every open one, where ComfyUI's server runs."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.send_sync(event, data, page)


@contextmanager
def translated() -> Iterator[None]:
    """Say our errors in ComfyUI's words: a stop is an interruption, the rest one sentence."""
    try:
        yield
    except StoppedError as error:
        from comfy.model_management import InterruptProcessingException

        raise InterruptProcessingException from error
    except OutOfMemoryError as error:
        import torch

        # ComfyUI unloads its models when it sees an exception of this class.
        raise torch.cuda.OutOfMemoryError(str(error)) from error
    except UpscaleError as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
