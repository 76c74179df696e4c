"""ComfyUI as far as the nodes see it: how it loads packs, and thin stand-ins for its modules."""

import asyncio
import contextlib
import functools
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tests.fakes.service import FakeService
from tests.vendors import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pack():
    """The pack, loaded as ComfyUI loads a folder of custom_nodes: its path becomes its name."""
    name = str(ROOT).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[key]


@pytest.fixture
def part(pack):
    """Return a module of the pack by its path in it."""
    return lambda path: importlib.import_module(f"{pack.__name__}.{path}")


class ProgressBar:
    """Records every update."""

    made: list["ProgressBar"]

    def __init__(self, total, node_id=None):
        self.total = total
        self.updates = []
        self.made.append(self)

    def update_absolute(self, value, total=None, preview=None):
        self.updates.append((value, total, preview))


class InterruptProcessingException(Exception):  # noqa: N818 (ComfyUI's name)
    """ComfyUI's word for a cancelled prompt."""


class ModelPatcher:
    """Holds what ComfyUI's memory manager knows about a model."""

    def __init__(self, model, load_device, offload_device):
        self.model = model
        self.devices = (load_device, offload_device)
        if not hasattr(model, "model_loaded_weight_memory"):
            model.model_loaded_weight_memory = 0

    def loaded_size(self):
        return self.model.model_loaded_weight_memory


class VideoFromFile:
    """A VIDEO that is a file, or that ComfyUI makes one of when asked."""

    def __init__(self, file, window=(0.0, 0.0), dimensions=(64, 48)):
        self.file = file
        self.window = window
        self.dimensions = dimensions
        self.saved = []

    def get_stream_source(self):
        return self.file

    def get_dimensions(self):
        return self.dimensions

    def get_active_trim_window(self):
        return self.window

    def save_to(self, path):
        self.saved.append(path)
        Path(path).write_bytes(Path(self.file).read_bytes())


class Host:
    """What a test tells the stand-ins, and what they were asked."""

    def __init__(self, models, user):
        self.models = models
        self.user = user
        self.interrupted = False
        self.context = None
        self.events = []
        self.client_id = "page"
        self.sockets = {}
        self.asked = []
        self.device = torch.device("cpu")
        self.bars = []

    def throw_exception_if_processing_interrupted(self):
        if self.interrupted:
            raise InterruptProcessingException

    def send_sync(self, event, data, sid=None):
        self.events.append((event, data))

    @property
    def texts(self):
        """The lines that were shown on nodes, each with its node."""
        shown = [data for event, data in self.events if event == "upscale_bridge.status"]
        return [(data["text"], data["node"]) for data in shown]

    def ask(self, name, answer=None):
        """Return a function that records its arguments."""

        def call(*arguments):
            self.asked.append((name, *arguments))
            return answer

        return call


@pytest.fixture
def comfy(part, monkeypatch, tmp_path):
    """ComfyUI's modules, with one empty folder of upscale models."""
    models, user = tmp_path / "upscale_models", tmp_path / "user"
    models.mkdir()
    user.mkdir()
    host = Host(models, user)
    modules = {
        "comfy": {},
        "comfy.utils": {"ProgressBar": type("ProgressBar", (ProgressBar,), {"made": host.bars})},
        "comfy.model_management": {
            "throw_exception_if_processing_interrupted": (
                host.throw_exception_if_processing_interrupted
            ),
            "InterruptProcessingException": InterruptProcessingException,
            "OOM_EXCEPTION": torch.cuda.OutOfMemoryError,
            "get_torch_device": lambda: host.device,
            "unet_offload_device": lambda: torch.device("cpu"),
            "intermediate_device": lambda: torch.device("cpu"),
            "soft_empty_cache": host.ask("soft_empty_cache"),
            "free_memory": host.ask("free_memory"),
            "get_free_memory": host.ask("get_free_memory", 12345.0),
            "load_models_gpu": host.ask("load_models_gpu"),
        },
        "comfy.model_patcher": {"ModelPatcher": ModelPatcher},
        "folder_paths": {
            "get_folder_paths": {"upscale_models": [str(models)]}.__getitem__,
            "get_user_directory": lambda: str(user),
            "get_temp_directory": lambda: str(user / "temp"),
        },
        "comfy_execution": {},
        "comfy_execution.utils": {"get_executing_context": lambda: host.context},
        "comfy_api": {},
        "comfy_api.latest": {"InputImpl": SimpleNamespace(VideoFromFile=VideoFromFile)},
        "server": {"PromptServer": SimpleNamespace(instance=host)},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:  # `import a.b as c` reads the attribute
            setattr(sys.modules[parent], child, module)
    kept = part("nodes.host").service, part("nodes.host").keys
    for function in kept:
        function.cache_clear()  # it keeps the stand-ins of the test before
    yield host
    for function in kept:
        function.cache_clear()


@pytest.fixture
def web(part, comfy, monkeypatch):
    """A thin stand-in for the package of ComfyUI's server, which need not be installed."""

    def answer(body=None, *, status=200, headers=None, content_type="", **_):
        return SimpleNamespace(body=body, status=status, headers=headers or {}, kind=content_type)

    module = ModuleType("aiohttp.web")
    module.json_response = lambda body, **more: answer(json.dumps(body), **more)
    module.Response = answer
    module.FileResponse = lambda path, headers: answer(path.read_bytes(), headers=headers)
    package = ModuleType("aiohttp")
    package.web = module
    monkeypatch.setitem(sys.modules, "aiohttp", package)
    monkeypatch.setitem(sys.modules, "aiohttp.web", module)
    part("nodes.task_routes")._listen.cache_clear()
    yield module
    part("nodes.task_routes")._listen.cache_clear()


@pytest.fixture(scope="session")
def loaded(pack):
    """Load each model once for all tests; a service of its own would load it for each."""
    loader = importlib.import_module(f"{pack.__name__}.upscale_bridge.local.loader")
    return functools.lru_cache(loader.load_model)


@pytest.fixture
def node(pack, comfy, part, loaded, monkeypatch):
    """A new node in a new service."""
    monkeypatch.setattr(part("upscale_bridge.local.loader"), "load_model", loaded)
    return pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscale"]()


@pytest.fixture
def upscale(node):
    """Run the node on an image by a factor of 2; other inputs as given."""

    def call(image, **inputs):
        values = {
            "model": "UpscaleBridge-x4",
            "scale_factor": 2.0,
            "tile_size": 0,
            "precision": "auto",
            "alpha": "model",
            "download": False,
        }
        return node.upscale(image=image, **{**values, **inputs})

    return call


KEY = "sk-only-for-these-tests-9876543210"


@pytest.fixture
def vendors(monkeypatch):
    """Start a stand-in of the vendors, with `options`, and lead all providers to it."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            fake = stack.enter_context(FakeService(key=KEY, **options))
            for name, value in environment(fake.base_url, KEY).items():
                monkeypatch.setenv(name, value)
            return fake

        yield start


@pytest.fixture
def call(pack, comfy):
    """Return the coroutine of a remote node with its defaults; other inputs as given."""

    def start(name, **inputs):
        node = pack.NODE_CLASS_MAPPINGS[name]()
        values = {
            name: options["default"]
            for name, (_, options) in node.INPUT_TYPES()["required"].items()
            if "default" in options
        }
        if name == "NovitaUpscaleToResolution":
            values["send_data_uri"] = True
        return getattr(node, node.FUNCTION)(**{**values, **inputs})

    return start


@pytest.fixture
def run(call):
    """Run a remote node alone, as ComfyUI does: in a new event loop, in inference mode."""

    def to_the_end(name, **inputs):
        with torch.inference_mode():
            return asyncio.run(call(name, **inputs))

    return to_the_end


@pytest.fixture
def images():
    """Return a batch of smooth images [count, 6, 8, channels] in 0..1."""

    def make(count=1, channels=3, dtype=torch.float32):
        generator = torch.Generator().manual_seed(count * 10 + channels)
        return torch.rand(count, 6, 8, channels, generator=generator).to(dtype)

    return make
