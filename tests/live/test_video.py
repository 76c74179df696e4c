"""Videos in a running ComfyUI, and in its page.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install av playwright`;
CHROMIUM names the browser.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("av")
from tests.live import pages
from tests.nodes import films

pytestmark = pages.pytestmark

PROMPT = json.loads((pages.WORKFLOWS / "api" / "2 Upscale a video.json").read_text("utf-8"))
SIZE = (320, 240)
# The middles of the four corners' quarters of the second frame, as a browser shows them.
CORNERS = """(address) => new Promise((resolve, reject) => {
    const video = document.createElement("video");
    video.muted = true;
    video.onerror = () => reject(new Error(address));
    video.onloadeddata = () => (video.currentTime = 0.1);
    video.onseeked = () => {
        const [width, height] = [video.videoWidth, video.videoHeight];
        const canvas = new OffscreenCanvas(width, height);
        const context = canvas.getContext("2d");
        context.drawImage(video, 0, 0);
        resolve([1, 3].flatMap((y) => [1, 3].map((x) =>
            [...context.getImageData((x * width) / 4, (y * height) / 4, 1, 1).data])));
    };
    video.src = address;
})"""


def prompt(file, **values):
    """Return the template's prompt for a file in the input folder."""
    made = json.loads(json.dumps(PROMPT))
    made["1"]["inputs"]["file"] = file
    made["2"]["inputs"] |= values
    return made


def saved(comfyui, entry):
    """Return the file that Save Video has written."""
    assert entry["status"]["status_str"] == "success", entry["status"]
    (file,) = entry["outputs"]["3"]["images"]
    return comfyui.base / file["type"] / file["subfolder"] / file["filename"]


def test_the_template_enlarges_a_video(comfyui):
    source = comfyui.base / "input" / "video.mp4"
    films.make(source, frames=4, sound="aac", times=[0, 9, 99, 200])
    result = saved(comfyui, comfyui.run(PROMPT)[0])
    frames, times = films.read(result)
    assert {frame.shape for frame in frames} == {(96, 128, 3)}
    assert times == pytest.approx(films.read(source)[1], abs=0.002)
    assert films.packets(result) == films.packets(source)


def test_memory_does_not_grow_with_the_length(comfyui):
    """Load Video, our node and Save Video together."""

    def peak(frames):
        films.make(comfyui.base / "input" / f"{frames}.mp4", frames=frames, size=SIZE)
        Path(f"/proc/{comfyui.process.pid}/clear_refs").write_text("5")
        comfyui.run(prompt(f"{frames}.mp4", scale_factor=1.5, model="UpscaleBridge-x4"))
        status = Path(f"/proc/{comfyui.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's high-water mark")
    peak(20)  # loads the model
    # 90 more frames and their results, kept as tensors, would be 270 MB.
    assert peak(110) - peak(20) < 90e6


def test_a_video_made_of_images_is_enlarged(comfyui):
    made = {
        **prompt("unused"),
        "1": {"class_type": "CreateVideo", "inputs": {"images": ["4", 0], "fps": 12.0}},
        "4": {"class_type": "LoadImage", "inputs": {"image": "small.png"}},
    }
    result = saved(comfyui, comfyui.run(made)[0])
    assert [frame.shape for frame in films.read(result)[0]] == [(48, 80, 3)]


def test_a_file_that_is_no_video_is_told(comfyui):
    (comfyui.base / "input" / "broken.mp4").write_bytes(b"nothing" * 99)
    entry, _ = comfyui.run(prompt("broken.mp4"))
    (message,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert "The video cannot be read" in message["exception_message"]


def test_the_page_knows_the_size_before_and_compares_after(comfyui, page):
    films.make(comfyui.base / "input" / "video.mp4")
    pages.load(page, "2 Upscale a video")
    pages.expect(pages.panel(page)).to_contain_text("→ 128 × 96 px")  # noqa: RUF001
    pages.start(page)
    pair = pages.panel(page).get_by_role("button", name="Compare before and after")
    pair.wait_for(state="attached", timeout=60_000)
    pages.expect(pages.panel(page)).to_contain_text("128 × 96 px")  # noqa: RUF001


def test_a_turned_video_looks_the_same_in_a_browser(comfyui, page):
    films.make(comfyui.base / "input" / "turned.mp4", turn=90)
    result = saved(comfyui, comfyui.run(prompt("turned.mp4", scale_factor=1.0))[0])
    view = f"{comfyui.url}/view?type=%s&filename=%s&subfolder=%s"
    before = page.evaluate(CORNERS, view % ("input", "turned.mp4", ""))
    folder = result.parent.relative_to(comfyui.base / "output")
    after = page.evaluate(CORNERS, view % ("output", result.name, folder))
    for one, other in zip(before, after, strict=True):
        assert one == pytest.approx(other, abs=8)
    assert max(abs(a - b) for a, b in zip(before[0], before[3], strict=True)) > 20
