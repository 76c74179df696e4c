"""What the WebUI's `modules` hold, as far as the adapter sees it. Nothing here imports torch."""

from pathlib import Path

from tests.webui import blocks

LANCZOS = 1  # Pillow's number for it


class State:
    """What runs now."""

    def __init__(self):
        self.begin("")
        self.end()

    def begin(self, job):
        self.skipped = self.interrupted = False
        self.sampling_step = self.sampling_steps = self.job_no = 0
        self.job, self.job_count, self.textinfo = job, -1, None

    def nextjob(self):
        self.job_no, self.sampling_step = self.job_no + 1, 0

    def end(self):
        self.job, self.job_count = "", 0

    def progress(self):
        """Return where the page's bar is, from 0 to 1."""
        found = self.job_no / self.job_count if self.job_count > 0 else 0
        if self.sampling_steps > 0:
            found += self.sampling_step / self.sampling_steps / max(self.job_count, 1)
        return found


class OptionInfo:
    """One setting."""

    def __init__(self, default=None, label="", component=None, component_args=None, section=None):
        self.default, self.label, self.section = default, label, section
        self.component, self.component_args = component, component_args
        self.comment_after, self.do_not_save = "", False

    def info(self, text):
        self.comment_after += text
        return self


class OptionHTML(OptionInfo):
    """A text between settings; it is not stored."""

    def __init__(self, text):
        super().__init__(text.strip(), component=blocks.HTML)
        self.do_not_save = True


class Options:
    """All settings: `data` is what config.json holds."""

    def __init__(self, **data):
        self.__dict__.update(data=data, data_labels={})

    def __getattr__(self, name):
        if name in self.data:
            return self.data[name]
        if name in self.data_labels:
            return self.data_labels[name].default
        raise AttributeError(name)

    def add_option(self, key, info):
        self.data_labels[key] = info
        if not info.do_not_save:
            self.data.setdefault(key, info.default)

    def set(self, key, value):
        """Do what the settings' page and the API do; neither checks the value."""
        assert not self.data_labels[key].do_not_save
        self.data[key] = value


class PostprocessedImage:
    def __init__(self, image):
        self.image, self.info = image, {}


class ScriptPostprocessing:
    name, order = None, 1000

    def ui(self):
        return {}

    def image_changed(self):
        pass

    def process_firstpass(self, pp, **values):
        pass

    def process(self, pp, **values):
        pass


def upscalers(webui):
    """Return the module `modules.upscaler` of a WebUI."""

    class Upscaler:
        name = model_path = None

        def __init__(self, create_dirs=False):
            self.scale, self.device = 1, webui.shared.device
            self.tile_size = webui.shared.opts.ESRGAN_tile if webui.kind == "forge" else None
            if self.name and create_dirs:
                Path(webui.shared.models_path, self.name).mkdir(parents=True)

        def do_upscale(self, img, selected_model):
            return img

        def upscale(self, img, scale, selected_model=None):
            """Run the model up to three times until the image is large enough."""
            self.scale = scale
            wanted = tuple(int((side * scale) // 8 * 8) for side in img.size)
            for turn in range(3):
                enough = webui.large_enough(img.size, wanted)
                if webui.kind == "reforge":
                    strictly = all(a > b for a, b in zip(img.size, wanted, strict=True))
                    over = (scale != 1 and strictly) or (turn and enough)
                else:
                    over = enough and (turn or scale != 1)
                if over or webui.state.interrupted:
                    break
                before, img = img.size, self.do_upscale(img, selected_model)
                if img.size == before:
                    break
            return img if img.size == wanted else img.resize(wanted, LANCZOS)

    class UpscalerData:
        def __init__(self, name, path, upscaler=None, scale=4, model=None):
            self.name, self.data_path, self.scale = name, path, scale
            self.scaler, self.model = upscaler, model

    class UpscalerNone(Upscaler):
        def __init__(self, dirname=None):
            super().__init__(False)
            self.scalers = [UpscalerData("None", None, self)]

    class UpscalerLanczos(Upscaler):
        def __init__(self, dirname=None):
            super().__init__(False)
            self.scalers = [UpscalerData("Lanczos", None, self)]

        def do_upscale(self, img, selected_model=None):
            return img.resize(tuple(int(side * self.scale) for side in img.size), LANCZOS)

    found = (Upscaler, UpscalerData, UpscalerNone, UpscalerLanczos)
    lanczos = {} if webui.kind == "sdnext" else {"LANCZOS": LANCZOS}
    return {**lanczos, **{kind.__name__: kind for kind in found}}
