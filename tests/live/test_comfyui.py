"""The pack in a running ComfyUI.

Set COMFYUI_PATH to a checkout of ComfyUI, and COMFYUI_PYTHON to a Python that can run it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = os.environ.get("COMFYUI_PATH", "")
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
START_SECONDS = 180
RUN_SECONDS = 300
NODE = "LocalESRGANUpscale"

pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set")

EXAMPLES = {
    path.relative_to(ROOT).as_posix(): prompt
    for path in sorted((ROOT / "example_workflows").rglob("*.json"))
    for prompt in [json.loads(path.read_text(encoding="utf-8"))]
    # The API format is a table of nodes; the format of the editor has lists.
    if prompt and all(isinstance(n, dict) and "class_type" in n for n in prompt.values())
    # The others need a service; test_remote_nodes.py has one.
    if any(n["class_type"] == NODE for n in prompt.values())
    if not any("when_unavailable" in n["inputs"] for n in prompt.values())
    # These need a checkpoint; test_templates.py makes one.
    if not any("ckpt_name" in n["inputs"] for n in prompt.values())
}


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI with this pack only, in folders of its own."""
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "input", "output", "user", "models/upscale_models"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "upscale-bridge").symlink_to(ROOT, target_is_directory=True)
    shutil.copy(Path(COMFYUI) / "input" / "example.png", base / "input")
    small = Image.linear_gradient("L").convert("RGB").resize((40, 24))
    for path in ("small.png", "pictures/one.png", "pictures/two.jpg"):
        (base / "input" / path).parent.mkdir(exist_ok=True)
        small.save(base / "input" / path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    arguments += ["--base-directory", str(base), "--database-url", f"sqlite:///{base}/comfy.db"]
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "main.py", *arguments],
            cwd=COMFYUI,
            env={
                **os.environ,
                "UPSCALE_BRIDGE_HOME": str(base / "home"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = SimpleNamespace(
        base=base, url=f"http://127.0.0.1:{port}", process=process, log=base / "log.txt"
    )
    try:
        wait_for(server, "/system_stats", START_SECONDS)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def need(server, *kinds):
    """Skip a test in a ComfyUI that lacks one of these classes of nodes."""
    absent = set(kinds) - set(ask(server, "/object_info"))
    if absent:
        pytest.skip(f"this ComfyUI has no {', '.join(sorted(absent))}")


def ask(server, path, data=None):
    """Return the JSON that the server answers; `data` is posted."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(
        server.url + path, data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        error.close()
        raise AssertionError(f"{path} answered {error.code}: {text}") from None


def wait_for(server, path, seconds):
    """Poll until the answer is there and not empty."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.process.poll() is None, "ComfyUI ended:\n" + tail(server)
        try:
            if answer := ask(server, path):
                return answer
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.2)
    raise AssertionError(f"nothing at {path} after {seconds} s:\n" + tail(server))


def tail(server):
    return server.log.read_text(encoding="utf-8", errors="replace")[-4000:]


def run(server, prompt):
    """Run a prompt to its end; return its entry in the history."""
    prompt_id = ask(server, "/prompt", {"prompt": prompt})["prompt_id"]
    return wait_for(server, f"/history/{prompt_id}", RUN_SECONDS)[prompt_id]


def pictures(server, entry, node="save"):
    """Return the pictures that a SaveImage node of a finished prompt has written."""
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    found = []
    for item in entry["outputs"][node]["images"]:
        with Image.open(server.base / item["type"] / item["subfolder"] / item["filename"]) as image:
            image.load()
            found.append(image)
    return found


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def upscale(image, **inputs):
    values = {
        "model": "UpscaleBridge-x4",
        "scale_factor": 2.0,
        "tile_size": 0,
        "precision": "auto",
        "alpha": "model",
        "download": False,
    }
    return node(NODE, image=image, **{**values, **inputs})


LOAD = node("LoadImage", image="small.png")
SAVE = node("SaveImage", images=["upscale", 0], filename_prefix="test")


def test_node_is_there_with_its_inputs(comfyui):
    info = ask(comfyui, f"/object_info/{NODE}")[NODE]
    assert info["display_name"] == "Local ESRGAN Upscale"
    assert info["category"] == "Upscale Bridge"
    assert info["input_order"] == {
        "required": [
            "image",
            "model",
            "scale_factor",
            "tile_size",
            "precision",
            "alpha",
            "download",
        ],
        "optional": ["mask", "upscale_model"],
    }
    assert info["output"] == ["IMAGE", "MASK", "STRING"]
    assert info["input"]["required"]["model"][0][0] == "UpscaleBridge-x4"


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(comfyui, name):
    prompt = EXAMPLES[name]
    entry = run(comfyui, prompt)
    saves = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    assert saves
    for key in saves:
        results = pictures(comfyui, entry, key)
        assert results
        expected = expected_size(comfyui, prompt, prompt[key])
        assert expected is None or [image.size for image in results] == [expected]


def expected_size(comfyui, prompt, save):
    """Return the size of LoadImage -> our node -> SaveImage; None for other chains."""
    middle = prompt[save["inputs"]["images"][0]]
    source = prompt[middle["inputs"]["image"][0]]
    if (middle["class_type"], source["class_type"]) != (NODE, "LoadImage"):
        return None
    with Image.open(comfyui.base / "input" / source["inputs"]["image"]) as image:
        factor = middle["inputs"]["scale_factor"]
        return tuple(round(side * factor) for side in image.size)


def test_batch_comes_out_as_a_batch(comfyui):
    prompt = {
        "load": LOAD,
        "batch": node("RepeatImageBatch", image=["load", 0], amount=3),
        "upscale": upscale(["batch", 0], scale_factor=1.5),
        "save": SAVE,
    }
    images = pictures(comfyui, run(comfyui, prompt))
    assert [image.size for image in images] == [(60, 36)] * 3


def test_alpha_comes_out_as_alpha(comfyui):
    prompt = {
        "load": LOAD,
        "mask": node("ImageToMask", image=["load", 0], channel="red"),
        "join": node("JoinImageWithAlpha", image=["load", 0], alpha=["mask", 0]),
        "upscale": upscale(["join", 0]),
        "save": SAVE,
        "show": node("MaskToImage", mask=["upscale", 1]),
        "save mask": node("SaveImage", images=["show", 0], filename_prefix="mask"),
    }
    entry = run(comfyui, prompt)
    (image,) = pictures(comfyui, entry)
    assert (image.mode, image.size) == ("RGBA", (80, 48))
    low, high = image.getchannel("A").getextrema()
    assert high - low > 200
    (mask,) = pictures(comfyui, entry, "save mask")
    assert mask.size == (80, 48)
    assert abs(mask.getpixel((40, 24))[0] + image.getpixel((40, 24))[3] - 255) <= 1


def test_wrong_model_is_named_in_an_execution_error(comfyui):
    prompt = {"load": LOAD, "upscale": upscale(["load", 0], model="nowhere"), "save": SAVE}
    status = run(comfyui, prompt)["status"]
    assert status["status_str"] == "error"
    (error,) = [details for kind, details in status["messages"] if kind == "execution_error"]
    assert error["node_type"] == NODE
    assert "ModelNotFoundError: There is no model 'nowhere'" in error["exception_message"]


def test_connected_model_of_the_hosts_loader_runs(comfyui):
    folder = ROOT / "upscale_bridge" / "local" / "weights"
    for path in folder.glob("*.safetensors"):
        shutil.copy(path, comfyui.base / "models" / "upscale_models" / "theirs.safetensors")
    prompt = {
        "load": LOAD,
        "loader": node("UpscaleModelLoader", model_name="theirs.safetensors"),
        "upscale": upscale(["load", 0], model="nowhere", upscale_model=["loader", 0]),
        "save": SAVE,
    }
    (image,) = pictures(comfyui, run(comfyui, prompt))
    assert image.size == (80, 48)
