"""A ComfyUI that runs, as the tests of this folder start, ask and end it.

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
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = os.environ.get("COMFYUI_PATH", "")
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
START_SECONDS = 180
RUN_SECONDS = 300
EXAMPLES = ROOT / "example_workflows" / "api"
KEYS = {"environment": "sk-planted-env-4f1c9a77e0d2", "file": "sk-planted-file-b83e6620c5aa"}
NAMES = ("novita", "photio", "wavespeed")


class Server:
    """A ComfyUI with this pack only, in folders of its own, that can be ended and started again."""

    def __init__(self, base, service):
        self.base, self.service, self.process = base, service, None
        self.log = base / "log.txt"
        for name in ("custom_nodes", "input", "output", "user", "models/upscale_models"):
            (base / name).mkdir(parents=True)
        (base / "custom_nodes" / "upscale-bridge").symlink_to(ROOT, target_is_directory=True)
        shutil.copy(Path(COMFYUI) / "input" / "example.png", base / "input")
        gradient = Image.linear_gradient("L").convert("RGB")
        gradient.resize((40, 24)).save(base / "input" / "small.png")

    def start(self, key=None):
        """Start it; `key` is put into its environment."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "UPSCALE_BRIDGE_HOME": str(self.base / "home")}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1"}
        for name in NAMES:
            environment[f"{name.upper()}_BASE_URL"] = self.service.base_url
            environment.pop(f"{name.upper()}_API_KEY", None)
            if key:
                environment[f"{name.upper()}_API_KEY"] = key
        arguments = ["--cpu", "--listen", "127.0.0.1", "--port", str(port), "--verbose", "DEBUG"]
        arguments += ["--base-directory", str(self.base)]
        arguments += ["--database-url", f"sqlite:///{self.base}/comfy.db"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "main.py", *arguments],
                cwd=COMFYUI,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self, "/system_stats", START_SECONDS)

    def configure(self, **values):
        """Write the settings of its user."""
        (self.base / "home").mkdir(exist_ok=True)
        (self.base / "home" / "settings.json").write_text(json.dumps(values), "utf-8")

    def stop(self, *, hard=False):
        """End it, or kill it as a crash would."""
        if hard:
            self.process.kill()
        else:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def begin(self, prompt, client=None):
        """Queue a prompt and return its id."""
        data = {"prompt": prompt, "client_id": client or uuid.uuid4().hex}
        return ask(self, "/prompt", data)["prompt_id"]

    def end(self, prompt_id):
        """Wait for a prompt's entry in the history."""
        return wait_for(self, f"/history/{prompt_id}", RUN_SECONDS)[prompt_id]

    def run(self, prompt, client=None):
        """Run a prompt to its end; return its entry in the history and the seconds it took."""
        start = time.monotonic()
        entry = self.end(self.begin(prompt, client))
        return entry, time.monotonic() - start


@contextmanager
def running(base, service, key=None, prepare=None):
    """A ComfyUI in a folder of its own, which `prepare` may change; `key` is in its environment."""
    started = Server(base, service)
    if prepare:
        prepare(base)
    try:
        started.start(key)
        yield started
    finally:
        if started.process:
            started.stop()


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


LOAD = node("LoadImage", image="small.png")


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
