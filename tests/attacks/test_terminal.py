"""What services, files and models call themselves cannot steer a terminal or hide in a line."""

import io
import json
import logging
import os
import sys
import unicodedata

import pytest

from tests.fakes import faults
from tests.remote.conftest import ends, remote, vendor  # noqa: F401 (fixtures)
from tests.remote.host import ALL, PROFILES
from upscale_bridge import cli
from upscale_bridge.cli.terminal import Terminal, note, say
from upscale_bridge.errors import ProviderError, TaskFailedError, UpscaleError
from upscale_bridge.texts import printable

SIGNS = {
    "escape": "\x1b[2J\x1b[31m",
    "link": "\x1b]8;;https://evil.example\x07here\x1b]8;;\x07",
    "title": "\x1b]0;gone\x07",
    "paste": "\x1b[201~rm -rf ~\r",
    "C1": "\x9b2J",
    "carriage return": "\rnothing",
    "backspace": "\b\b\b",
    "delete": "\x7f",
    "null": "\x00",
    "bell": "\x07",
    "line": "\nERROR: all is lost",
    "other lines": "\x0b\x0c\x85\u2028\u2029",
    "tab": "\t",
    "override": "\u202egnp.exe\u202c",
    "embedding": "\u202a\u202b\u202d",
    "isolate": "\u2066\u2067\u2068\u2069",
    "mark": "\u200e\u200f\u061c",
    "nothing": "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "tags": "\U000e0041\U000e007f",
    "half a sign": "\ud800\udc80",
    "no sign": "\uffff\U0010fffe",
    "private": "\ue000",
}
HARMLESS = "Füße 日本語\u3000 한국어 emoji 👍🏽 a\u00a0b \\x1b é 100 %"


def is_clean(text, lines=False):
    """Tell whether every sign can be seen."""
    return all(
        sign.isprintable() or unicodedata.category(sign) == "Zs" or (lines and sign == "\n")
        for sign in text
    )


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_signs_that_cannot_be_seen_stand_there_as_escapes(sign):
    shown = printable(f"a{sign}b")
    assert is_clean(shown)
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert printable(shown) == shown


def test_all_that_can_be_seen_stays():
    assert printable(HARMLESS) == HARMLESS


def test_every_sign_of_the_odd_parts():
    for first in (*range(0, 0x4000, 0x1000), 0xD000, 0xE000, 0xF000, 0x1F000, 0xE0000, 0x10F000):
        text = "".join(map(chr, range(first, first + 0x1000)))
        assert is_clean(printable(text))


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_errors_and_what_is_printed_are_clean(sign, capsys):
    for kind in (ProviderError, TaskFailedError, UpscaleError):
        assert is_clean(str(kind(f"a{sign}b")))
        assert is_clean(f"{kind(f'a{sign}b')}")
    note(f"a{sign}b")
    say(f"a{sign}b")
    out, err = capsys.readouterr()
    assert out == err
    assert out.count("\n") == 1
    assert is_clean(out.removesuffix("\n"))


def test_line_of_progress_is_clean(monkeypatch, capsys):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _stream: True)
    terminal = Terminal(1, quiet=False)
    lane = terminal.lane(0, f"{SIGNS['escape']}{SIGNS['override']}.png")
    lane.status(f"running {SIGNS['title']}")
    lane.notice(f"read this {SIGNS['link']}")
    shown = capsys.readouterr().err
    assert is_clean(shown.replace("\r\x1b[K", "").replace("\r", ""), lines=True)
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "gbk"])
def test_signs_that_a_stream_cannot_show_are_no_end(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    say(HARMLESS + SIGNS["half a sign"], stream)
    stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)
    assert shown.endswith("\n")
    assert "100 %" in shown


def test_logs_of_the_command_are_clean(monkeypatch):
    root, stream = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "stderr", stream)
    cli.main(["keys"])
    for sign in SIGNS.values():
        logging.getLogger("upscale_bridge.any").error("a %s", sign)
    assert stream.getvalue().count("\n") == len(SIGNS)
    assert is_clean(stream.getvalue(), lines=True)


@pytest.mark.parametrize("command", ALL)
def test_service_cannot_steer_the_terminal(vendor, command, capsys, tmp_path):  # noqa: F811
    from PIL import Image

    everything = "".join(SIGNS.values())
    Image.new("RGB", (24, 16)).save(tmp_path / "a.png")
    for attempt, status in enumerate((400, 401, 402, 500), 1):
        body = {"code": status, "reason": everything, **PROFILES[command].saying(everything)}
        body |= {"data": {"id": everything}, "task_id": everything}
        fault = faults.answer(status, json.dumps(body))
        vendor.fake.faults["ticket"].append(fault)
        vendor.fake.faults["submit"].append(fault)
        arguments = ["--attempt", str(attempt), "-o", str(tmp_path / "b.png")]
        for name, value in PROFILES[command].sending.items():
            arguments += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
        assert cli.main([command, str(tmp_path / "a.png"), *arguments]) > 0
        vendor.fake.faults["ticket"].clear()
        vendor.fake.faults["submit"].clear()
    assert cli.main(["tasks", "list"]) == 0
    out, err = capsys.readouterr()
    assert is_clean(out + err, lines=True)
    assert "\\u202e" in err
    cli.main(["tasks", "list", "--json"])
    assert capsys.readouterr().out.isascii()


def test_id_of_a_task_is_shown_clean(vendor, capsys):  # noqa: F811
    wire_id = f"id{SIGNS['escape']}{SIGNS['override']}{SIGNS['line']}"
    vendor.fake.faults["submit"].append(faults.answer(200, json.dumps({"task_id": wire_id})))
    vendor.fake.faults["poll"].append(faults.answer(403, "{}"))
    with pytest.raises(UpscaleError) as caught:
        vendor.run("novita")
    assert is_clean(str(caught.value))
    assert cli.main(["tasks", "list"]) == 0
    out, _ = capsys.readouterr()
    assert out.count("\n") == 1
    assert is_clean(out, lines=True)
    assert "\\x1b[2J" in out


@pytest.mark.skipif(os.name != "posix", reason="such names are not allowed there")
@pytest.mark.parametrize("name", ["escape", "line", "override", "half a sign", "tab"])
def test_names_of_files_are_shown_clean(capsys, tmp_path, name):
    sign = "\udc80" if name == "half a sign" else SIGNS[name]
    path = tmp_path / f"a{sign}.png"
    path.write_bytes(b"no image")
    model = tmp_path / f"model{sign}.pth"
    model.write_bytes(b"no model")
    cli.main(["local", str(path), "-o", str(tmp_path / "out")])
    cli.main(["local", str(tmp_path / f"missing{sign}.png"), "-o", str(tmp_path / "out")])
    cli.main(["models", "--models-dir", str(tmp_path)])
    cli.main(["models", "info", str(model)])
    with pytest.raises(SystemExit):
        cli.main(["local", "a.png", f"--{sign.replace(' ', '')}"])  # with a space it is no flag
    out, err = capsys.readouterr()
    assert is_clean(out + err, lines=True)
    assert "\\" in out
    assert "\\" in err
