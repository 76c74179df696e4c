"""Stable Diffusion WebUI as far as the adapter sees it: thin stand-ins for its `modules`.

Where Forge, reForge and SD.Next differ, `WebUI.kind` decides. Nothing here imports torch.
"""

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

from tests.webui import blocks
from tests.webui.modules import (
    OptionHTML,
    OptionInfo,
    Options,
    PostprocessedImage,
    ScriptPostprocessing,
    State,
    upscalers,
)

DOOR = Path(__file__).resolve().parents[2] / "scripts" / "upscale_bridge_webui.py"


class Upscale(ScriptPostprocessing):
    """The tab's own upscalers, one blended into the other."""

    name, order, webui = "Upscale", 1000, None

    def __init__(self):
        self.kept = {}

    def image_changed(self):
        self.kept.clear()

    def ui(self):
        names = [one.name for one in self.webui.shared.sd_upscalers]
        return {
            "upscale_by": blocks.Slider(1, 8, 4),
            "upscaler_1_name": blocks.Dropdown(names, value=names[0]),
            "upscaler_2_name": blocks.Dropdown(names, value=names[0]),
            "upscaler_2_visibility": blocks.Slider(0, 1, 0),
        }

    def process(self, pp, upscale_by, upscaler_1_name, upscaler_2_name, upscaler_2_visibility):
        if upscaler_1_name in (None, "None"):
            return
        first = self.enlarged(upscaler_1_name, pp.image, upscale_by)
        if self.webui.kind == "sdnext":
            pp.info["Postprocess upscaler"] = upscaler_1_name
        if upscaler_2_name not in (None, "None") and upscaler_2_visibility:
            from PIL import Image

            second = self.enlarged(upscaler_2_name, pp.image, upscale_by).convert(first.mode)
            first = Image.blend(first, second, upscaler_2_visibility)
        pp.image = first

    def enlarged(self, name, image, scale):
        """The WebUI keeps what came of an image; its key knows no settings of ours."""
        key = image.tobytes(), name, scale
        if key not in self.kept:
            self.kept[key] = self.webui.upscaled(name, image, scale)
        return self.kept[key]


class Runner:
    """Runs the scripts of the Extras tab in their order."""

    def __init__(self, webui, kinds):
        self.webui, self.kinds, self.scripts, self.page = webui, kinds, None, None

    def setup_ui(self):
        """Draw all panels."""
        self.scripts = sorted((kind() for kind in self.kinds), key=lambda one: one.order)
        with blocks.Blocks(analytics_enabled=False) as self.page:
            image = blocks.Field(elem_id="extras_image")
            for callback in self.webui.callbacks["after_component"]:
                callback(image, elem_id="extras_image")
            for script in self.scripts:
                with blocks.Row():
                    script.controls = script.ui()
                for control in script.controls.values():  # nothing catches a failure here
                    control.custom_script_source = DOOR.name

    def image_changed(self):
        for script in self.scripts:
            script.image_changed()

    def run(self, pp, arguments):
        for script in self.scripts:
            if self.webui.kind != "sdnext":
                script.process_firstpass(pp, **arguments.get(script.name, {}))
        for script in self.scripts:
            if self.webui.kind == "sdnext":
                self.webui.state.begin(script.name)
            elif self.webui.state.skipped:
                break
            self.webui.state.job = script.name
            script.process(pp, **arguments[script.name])


class WebUI:
    """One host program, and what a user does with it."""

    def __init__(self, kind, folder):
        self.kind, self.gc = kind, 0
        self.state, self.callbacks = (
            State(),
            {"before_ui": [], "ui_settings": [], "after_component": []},
        )
        tile = "upscaler_tile_size" if kind == "sdnext" else "ESRGAN_tile"
        self.opts = Options(**{tile: 192 if kind == "forge" else 256})
        self.shared = self._module(
            "modules.shared",
            opts=self.opts,
            state=self.state,
            OptionInfo=OptionInfo,
            **({} if kind == "sdnext" else {"OptionHTML": OptionHTML}),
            models_path=str(folder / "models"),
            cmd_opts=SimpleNamespace(no_half=False),
            device="cpu",
        )
        self.devices = self._module("modules.devices", torch_gc=self._collect)
        self.device = "device" if kind == "sdnext" else "device_esrgan"
        setattr(self.devices, self.device, None)
        self.scripts = self._module(
            "modules.scripts", scripts_postproc=Runner(self, []), postprocessing_scripts_data=[]
        )
        self.modelloader = self._module(
            "modules.modelloader", load_upscalers=lambda: self.load_upscalers()
        )
        self.progress = self._module("modules.progress", current_task=None)
        self.told = []
        page = (PostprocessedImage, ScriptPostprocessing)
        self.modules = {
            "gradio": blocks.module(self.told.append),
            "modules": self._module("modules"),
            "modules.shared": self.shared,
            "modules.devices": self.devices,
            "modules.scripts": self.scripts,
            "modules.progress": self.progress,
            "modules.modelloader": self.modelloader,
            "modules.images": self._module("modules.images", read=read),
            "modules.upscaler": self._module("modules.upscaler", **upscalers(self)),
            "modules.scripts_postprocessing": self._module(
                "modules.scripts_postprocessing", **{one.__name__: one for one in page}
            ),
            "modules.script_callbacks": self._module(
                "modules.script_callbacks",
                on_before_ui=self.callbacks["before_ui"].append,
                on_ui_settings=self.callbacks["ui_settings"].append,
                on_after_component=self.callbacks["after_component"].append,
            ),
            "modules.ui_components": self._module(
                "modules.ui_components", InputAccordion=blocks.InputAccordion
            ),
        }
        if kind == "sdnext":
            self.modules["modules.scripts_manager"] = self._module("modules.scripts_manager")
        for name, module in self.modules.items():
            if name.startswith("modules."):
                setattr(self.modules["modules"], name.partition(".")[2], module)
        self.upscaler = self.modules["modules.upscaler"]

    def _module(self, name, **members):
        made = ModuleType(name)
        vars(made).update(members)
        return made

    def _collect(self):
        self.gc += 1

    @staticmethod
    def large_enough(size, wanted):
        return all(a >= b for a, b in zip(size, wanted, strict=True))

    # --- its start

    def start(self):
        """Start, or do what "Reload UI" does."""
        self.load_extension()
        self.modelloader.load_upscalers()
        self.before_ui()
        self.create_ui()
        return self

    def load_extension(self):
        """Run the extension's script; return its module."""
        for callbacks in self.callbacks.values():
            callbacks.clear()
        spec = importlib.util.spec_from_file_location(DOOR.name, DOOR)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [
            thing
            for thing in vars(module).values()
            if inspect.isclass(thing) and issubclass(thing, ScriptPostprocessing)
        ]
        own = type("Upscale", (Upscale,), {"webui": self})
        self.scripts.scripts_postproc = Runner(self, [own, *found])
        return module

    def load_upscalers(self):
        base, own = self.upscaler.Upscaler, ("UpscalerNone", "UpscalerLanczos")
        kinds = [getattr(self.upscaler, name) for name in own]
        if self.kind in ("forge", "sdnext"):  # reForge has a fixed list
            kinds += [one for one in base.__subclasses__() if one not in kinds]
        else:
            vars(self.shared).pop("sd_upscalers", None)
        self.shared.sd_upscalers = [entry for kind in kinds for entry in kind(None).scalers]
        return [one.name for one in self.shared.sd_upscalers] if self.kind == "sdnext" else None

    def before_ui(self):
        for callback in self.callbacks["before_ui"]:
            callback()

    def create_ui(self):
        for callback in self.callbacks["ui_settings"]:
            callback()
        self.scripts.scripts_postproc.setup_ui()

    # --- its use

    def entry(self, name):
        """Return the upscaler of that name; there is one only."""
        (found,) = [one for one in self.shared.sd_upscalers if one.name == name]
        return found

    def enlarge(self, name, image, scale, job="task(abc)"):
        """Run an upscaler as a generation does."""
        self.state.begin(job)
        self.progress.current_task = "task(abc)"
        return self.upscaled(name, image, scale)

    def upscaled(self, name, image, scale):
        """Call an upscaler as the host does."""
        found = self.entry(name)
        path = found.name if self.kind == "sdnext" else found.data_path
        return found.scaler.upscale(image, scale, path)

    def panel(self):
        """Return our panel's script."""
        (found,) = [
            one for one in self.scripts.scripts_postproc.scripts if one.name == "Upscale Bridge"
        ]
        return found

    def extras(self, *images, upscale=None, panel=None):
        """Press Generate in the Extras tab; return what is shown and saved.

        `upscale` and `panel` are values that differ from those drawn.
        """
        changed, values = {"Upscale": upscale, "Upscale Bridge": panel}, {}
        for script in self.scripts.scripts_postproc.scripts:
            drawn = {name: control.value for name, control in script.controls.items()}
            values[script.name] = {**drawn, **(changed[script.name] or {})}
        self.progress.current_task = "task(abc)"
        return self._run(images, values)

    def extras_api(self, *images, **upscale):
        """Ask the API; it has nothing for other scripts, and passes None for all they drew."""
        values = {
            script.name: dict.fromkeys(script.controls)
            for script in self.scripts.scripts_postproc.scripts
        }
        values["Upscale"] |= {"upscaler_2_visibility": 0, **upscale}
        self.progress.current_task = None
        return self._run(images, values)

    def _run(self, images, values):
        run = process_images if self.kind == "sdnext" else run_postprocessing
        return run(self, images, values)


def read(path):
    """Return an image as the host reads a file."""
    from PIL import Image

    return Image.open(path)


def run_postprocessing(webui, images, values):
    """Go through images, or paths of them, as the function of this name does in A1111 and Forge."""
    webui.state.begin("extras")
    data_to_process, done = [(one, None) for one in images], []
    webui.state.job_count = len(data_to_process)
    for image_placeholder, _ in data_to_process:
        webui.state.nextjob()
        webui.state.skipped = False
        if webui.state.interrupted:
            break
        image = image_placeholder
        if isinstance(image, str):
            image = webui.modules["modules.images"].read(image)
        if not isinstance(image, str) and getattr(image, "mode", "RGB") not in ("RGB", "RGBA"):
            image = image.convert("RGB")
        pp = PostprocessedImage(image)
        webui.scripts.scripts_postproc.run(pp, values)
        if not webui.state.skipped:
            done.append(pp)
    webui.state.end()
    return done


def process_images(webui, image_data, values):
    """The same in SD.Next, which tells an error and shows nothing else."""
    webui.state.begin("Process")
    done = []
    for image in image_data:
        if webui.state.interrupted:
            break
        pp = PostprocessedImage(image.convert("RGB"))
        try:
            webui.scripts.scripts_postproc.run(pp, values)
        except Exception as error:
            webui.told.append(shown(str(error)))
            return []
        done.append(pp)
    webui.state.end()
    return done


def shown(infotext):
    """Return what SD.Next's page shows of an infotext, for which it takes an error as well."""
    begins = [infotext.lower().find(f"{name}: ") for name in ("size", "width", "height", "seed")]
    begin = min((one for one in begins if one >= 0), default=0)
    pairs = re.findall(r'([\w ]+):\s*("(?:\\.|[^"\\])+"|[^,]*)(?:,|$)', infotext[begin:])
    values = [(name, json.loads(one) if one[:1] == '"' else one) for name, one in pairs]
    return "| ".join(f"{name.strip()}: {value}" for name, value in values) or infotext
