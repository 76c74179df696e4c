"""The panel of the Extras tab: what is drawn, and what reaches an operation."""

import json
import re

import pytest

from tests.webui.started import BOTH, KEY, KINDS, SENDING, differs, part, photo
from upscale_bridge.local.extras import LocalExtras
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.service import Result

ALL = (LocalUpscale, LocalExtras, *KINDS.values())
HIDDEN = ("image_url", "send_data_uri")
PARAMETERS = [(kind, item) for kind in ALL for item in kind.params() if item.name not in HIDDEN]


def other(item):
    """Return a value that differs from a parameter's default."""
    if item.choices:
        return next(one for one in item.choices if one != item.default)
    match item.kind:
        case "bool":
            return not item.default
        case "text":
            others = {"model": "acme/other-model", "options": '{"n": 1}', "mixed_with": ""}
            if item.default == "UpscaleBridge-x4":
                others["model"] = "realesr-general-x4v3"  # the one that has a denoise
            return others.get(item.name, f"some {item.name}")
    low = item.minimum if item.minimum is not None else item.above + item.step
    found = low if low != item.default else item.maximum
    return type(item.default)(found)


@pytest.fixture
def ran(webui, monkeypatch):
    """The operations that reach the service, which gives back what it got."""
    found = []

    def run(operation, images, monitor, **options):
        found.append(operation)
        return Result(images, {}, "done")

    monkeypatch.setattr(part("host").service(), "run", run)
    return found


def default(kind):
    """Return the operation of an untouched panel: it always sends the image itself."""
    inline = "send_data_uri" in {item.name for item in kind.params()}
    return kind(send_data_uri=True) if inline else kind()


def control(webui, kind, item):
    return webui.panel().controls[part("panel").field(kind, item)]


# --- what is drawn

LABELS = {
    "enable_nsfw_detection": "Enable NSFW detection",
    "upscaling_resize_w": "Upscaling resize width",
    "upscaling_resize_h": "Upscaling resize height",
    "gfpgan_visibility": "GFPGAN visibility",
    "codeformer_visibility": "CodeFormer visibility",
    "codeformer_weight": "CodeFormer weight",
    "img_expire_ttl": "Img expire TTL",
}


def labelled(name):
    return LABELS.get(name, name.replace("_", " ").capitalize())


@BOTH
def test_parameter_is_drawn_as_what_it_is(webui):
    for kind, item in PARAMETERS:
        drawn, where = control(webui, kind, item), f"{kind.__name__}.{item.name}"
        shape = type(drawn).__name__
        words = re.compile(r"\b[a-z]+(_[a-z0-9]+)+\b")
        assert drawn.info == words.sub(lambda name: f"'{labelled(name[0])}'", item.help), where
        assert drawn.label == labelled(item.name)
        assert item.name == "tile_size" or drawn.value == item.default, where
        if item.choices:
            assert (shape, drawn.choices) == ("Dropdown", list(item.choices)), where
        elif item.kind == "bool":
            assert shape == "Checkbox", where
        elif item.kind == "text":
            listed = item.name in ("model", "mixed_with") or item.suggestions or kind is LocalExtras
            assert shape == ("Dropdown" if listed else "Textbox"), where
        elif shape == "Slider":
            low = item.minimum if item.above is None else item.above
            assert (drawn.minimum, drawn.maximum) == (low, item.maximum), where
            assert drawn.step == (item.step or 1), where
            assert low <= drawn.value <= drawn.maximum, where
        else:
            assert (shape, item.kind, drawn.precision) == ("Number", "int", 0), where
            assert item.maximum > 5000, "a number that a slider could show is typed"


def test_every_parameter_is_drawn_once(webui):
    controls = webui.panel().controls
    expected = {part("panel").field(kind, item) for kind, item in PARAMETERS}
    assert set(controls) - {"enable", "operation"} == expected
    assert len({id(one) for one in controls.values()}) == len(controls)
    page = list(webui.scripts.scripts_postproc.page.walk())
    for one in controls.values():
        assert sum(shown is one for shown in page) == 1


def test_what_is_rarely_changed_is_folded_away(webui):
    webui.panel()
    page = list(webui.scripts.scripts_postproc.page.walk())
    folded = [one for one in page if getattr(one, "label", "") == "Rarely changed"]
    assert [one.open for one in folded] == [False] * len(part("panel").KINDS)
    inside = {id(one) for group in folded for one in group.walk()}
    for kind, item in PARAMETERS:
        assert (id(control(webui, kind, item)) in inside) is item.advanced


def test_address_of_an_image_is_not_asked_for(webui):
    assert not [name for name in webui.panel().controls if name.endswith(HIDDEN)]


def test_values_are_not_written_into_the_hosts_file_of_defaults(webui):
    """It tells values apart by their labels only, and prompts are nobody's business."""
    for name, one in webui.panel().controls.items():
        assert name in ("enable", "operation") or one.do_not_save_to_config is True


def test_panel_is_off_at_first_and_begins_with_this_machine(webui):
    controls = webui.panel().controls
    assert controls["enable"].value is False
    assert controls["operation"].value == LocalUpscale.title
    assert controls["operation"].choices == [kind.title for kind in ALL]


def test_panel_stands_behind_the_hosts_upscalers(webui):
    names = [script.name for script in webui.scripts.scripts_postproc.scripts]
    assert names == ["Upscale", "Upscale Bridge"]
    assert webui.panel().order == 1100


@BOTH
@pytest.mark.parametrize("chosen", ALL)
def test_only_the_chosen_operations_parameters_are_shown(webui, chosen):
    def shown():
        return {kind for kind, item in PARAMETERS if control(webui, kind, item).shown}

    assert shown() == {LocalUpscale}
    webui.panel().controls["operation"].choose(chosen.title)
    assert shown() == {chosen}


@BOTH
def test_parameters_of_another_mode_are_hidden(webui):
    """They have no effect there."""
    kind = KINDS["novita-v2"]
    webui.panel().controls["operation"].choose(kind.title)
    modes = {
        "by factor": {"upscaling_resize"},
        "to size": {"upscaling_resize_w", "upscaling_resize_h", "upscaling_crop"},
    }
    drawn = {item.name: control(webui, kind, item) for k, item in PARAMETERS if k is kind}
    for mode in ("by factor", "to size", "by factor"):
        drawn["resize_mode"].choose(mode)
        shown = {name for name, one in drawn.items() if one.shown}
        assert shown & set.union(*modes.values()) == modes[mode]
        assert {"upscaler_1", "upscaler_2", "attempt"} <= shown


def test_upscalers_of_v2_are_a_list_of_known_ones_and_the_hosts(webui):
    kind = KINDS["novita-v2"]
    for item in kind.params():
        if item.name in ("upscaler_1", "upscaler_2"):
            drawn = control(webui, kind, item)
            assert {"", "R-ESRGAN 4x+", "4x-UltraSharp", "None", "Lanczos"} <= {*drawn.choices}
            assert not [name for name in drawn.choices if name.startswith("Bridge: ")]
            assert drawn.allow_custom_value is True


def test_retired_services_say_so(webui):
    texts = [
        str(one.value)
        for one in webui.scripts.scripts_postproc.page.walk()
        if type(one).__name__ in ("Markdown", "HTML")
    ]
    for kind in KINDS.values():
        assert any(kind.__doc__ in text for text in texts)
        assert any(kind.retirement in text for text in texts)


def test_models_of_this_machine_and_known_ones_can_be_chosen(webui):
    model = next(item for item in LocalUpscale.params() if item.name == "model")
    choices = control(webui, LocalUpscale, model).choices
    assert choices[0] == "UpscaleBridge-x4"
    assert "RealESRGAN_x4plus" in choices
    assert len(set(choices)) == len(choices)


@pytest.mark.parametrize(("tile", "drawn"), [(192, 192), (0, 0), (None, 0)])
def test_tile_size_is_the_hosts_at_first(installed, tile, drawn):
    installed.kind = "reforge"  # whose upscalers do not read it
    installed.opts.data["ESRGAN_tile"] = tile
    if tile is None:
        del installed.opts.data["ESRGAN_tile"]
    item = next(item for item in LocalUpscale.params() if item.name == "tile_size")
    assert control(installed.start(), LocalUpscale, item).value == drawn


# --- what is run


@BOTH
def test_none_for_everything_is_off(webui, ran):
    """As the API has it, which knows nothing of our panel."""
    image = photo()
    (done,) = webui.extras_api(image)
    assert done.image is image
    assert (done.info, ran) == ({}, [])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"enable": False, "operation": LocalUpscale.title},
        {"enable": True, "operation": None},
        {"enable": True, "operation": "Some Other Upscale"},
        {"enable": True, "operation": ""},
    ],
)
def test_off_or_unknown_does_nothing(webui, ran, values):
    image = photo()
    (done,) = webui.extras(image, panel=values)
    assert done.image is image
    assert (done.info, ran) == ({}, [])


@BOTH
@pytest.mark.parametrize("kind", ALL)
def test_every_value_reaches_its_operation(webui, ran, kind):
    panel = part("panel")
    items = [item for item in kind.params() if item.name not in HIDDEN]
    values = {panel.field(kind, item): other(item) for item in items}
    webui.extras(photo(), panel={"enable": True, "operation": kind.title, **values})
    (operation,) = ran
    assert type(operation) is kind
    for item in items:
        assert getattr(operation, item.name) == other(item) != item.default


@pytest.mark.parametrize("kind", ALL)
def test_drawn_values_are_the_defaults(webui, ran, kind):
    webui.opts.data["ESRGAN_tile"] = 0
    webui.start()
    webui.extras(photo(), panel={"enable": True, "operation": kind.title})
    assert ran == [default(kind)]


@pytest.mark.parametrize("kind", ALL)
def test_none_and_missing_values_mean_the_defaults(webui, ran, kind):
    pp = webui.modules["modules.scripts_postprocessing"].PostprocessedImage(photo())
    fields = [part("panel").field(kind, item) for item in kind.params()]
    webui.panel().process(pp, enable=True, operation=kind.title, **dict.fromkeys(fields))
    webui.panel().process(pp, enable=True, operation=kind.title)
    assert ran == [default(kind), default(kind)]


def test_values_of_other_operations_do_not_matter(webui, ran):
    values = {"LocalUpscale_scale_factor": 99, "NovitaUpscale_model_name": "nonsense"}
    webui.extras(photo(), panel={"enable": True, "operation": "Photio Upscale", **values})
    assert ran == [KINDS["photio"]()]


@pytest.mark.parametrize(
    ("upscale", "size"),
    [({}, (54, 44)), ({"upscale": {"upscaler_1_name": "Lanczos", "upscale_by": 2}}, (96, 80))],
    ids=["exact", "behind the upscalers"],
)
def test_size_is_that_of_what_it_gets(webui, upscale, size):
    values = {"enable": True, "operation": LocalUpscale.title, "LocalUpscale_scale_factor": 2.0}
    (done,) = webui.extras(photo(27, 22), panel=values, **upscale)
    assert done.image.size == size


@pytest.mark.parametrize("command", SENDING)
def test_service_is_used_with_all_that_was_chosen(vendor, webui, command):
    service, kind = vendor(), KINDS[command]
    first = webui.extras(photo(), panel={"enable": True, "operation": kind.title})[0].image
    assert service.submits() == 1
    again = webui.extras(photo(), panel={"enable": True, "operation": kind.title})[0].image
    assert service.submits() == 1, "it was kept"
    assert differs(first, again) == 0
    more = {f"{kind.__name__}_attempt": 2}
    webui.extras(photo(), panel={"enable": True, "operation": kind.title, **more})
    assert service.submits() == 2


# --- what the image's infotext says

INFOTEXTS = {
    "LocalUpscale": "Local ESRGAN Upscale: model UpscaleBridge-x4, scale_factor 2.0, tile_size 0, "
    "precision auto, alpha model",
    "NovitaUpscale": "Novita Upscale: model_name RealESRGAN_x4plus_anime_6B, scale_factor 2.0, "
    "response_image_type png, enable_nsfw_detection False, result_size as delivered",
}


@pytest.mark.parametrize("kind", [LocalUpscale, KINDS["novita"]])
def test_infotext_is_stable(vendor, webui, kind):
    vendor()
    values = {"LocalUpscale_scale_factor": 2.0, "LocalUpscale_tile_size": 0}
    for _ in range(2):
        panel = {"enable": True, "operation": kind.title, **values}
        (done,) = webui.extras(photo(), panel=panel)
        assert set(done.info) == {"Upscale Bridge", "Upscale Bridge result"}
        assert done.info["Upscale Bridge"] == INFOTEXTS[kind.__name__]
        result = done.info["Upscale Bridge result"]
        assert re.fullmatch(r"24 x 16 -> 48 x 32 (with|by) .+, \d+\.\d s", result)


@pytest.mark.parametrize("command", SENDING)
def test_infotext_holds_neither_key_nor_address(vendor, webui, command):
    service = vendor()
    (done,) = webui.extras(photo(), panel={"enable": True, "operation": KINDS[command].title})
    text = json.dumps(done.info)
    for secret in (KEY, KEY[-4:], service.fake.base_url, "127.0.0.1", "http", "sig="):
        assert secret not in text
