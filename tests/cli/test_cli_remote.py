"""The commands that speak to services, against the stand-in; and tasks and keys."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.remote.host import configure
from tests.vendors import environment, profiles
from tests.vendors.wavespeed.catalogue import MODELS
from upscale_bridge import cli
from upscale_bridge.vendors import OPERATIONS

KEY = "sk-only-for-tests-0123456789"
PROFILES = profiles()


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The stand-in, set as every provider's host, and a working folder with three pictures."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for index, colour in enumerate(("orange", "teal", "navy")):
        Image.new("RGB", (24, 16), colour).save(f"in/{index}.png")
    with FakeService(key=KEY) as fake:
        for name, value in environment(fake.base_url, KEY).items():
            monkeypatch.setenv(name, value)
        yield fake


def flags(command):
    found = []
    for name, value in PROFILES[command].sending.items():
        found += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return found


def size(path):
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("command", PROFILES)
def test_every_service_has_a_command(run, service, command):
    status, out, err = run(command, "in/0.png", "-o", "big.png", *flags(command))
    assert (status, out) == (0, "")
    assert "in/0.png -> big.png: 24 x 16 -> " in Path(err).as_posix()
    assert size("big.png") == ((128, 85) if PROFILES[command].long_edge else (48, 32))
    assert len(service.tasks) == 1


def test_folder_goes_through_side_by_side_and_is_reported_in_order(run, service):
    status, out, _ = run("novita", "in", "-o", "out", "--json")
    reports = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [Path(report["file"]).name for report in reports] == ["0.png", "1.png", "2.png"]
    assert [report["tasks"][0]["how"] for report in reports] == ["new"] * 3
    for index, colour in enumerate(("orange", "teal", "navy")):
        with Image.open(f"out/{index}.png") as image:
            assert image.getpixel((5, 5)) == Image.new("RGB", (1, 1), colour).getpixel((0, 0))


def test_second_run_costs_nothing(run, service):
    run("novita", "in", "-o", "out")
    status, out, _ = run("novita", "in", "-o", "out", "--overwrite", "--json")
    assert status == 0
    assert [json.loads(line)["tasks"][0]["how"] for line in out.splitlines()] == ["reused"] * 3
    assert len(service.tasks) == 3


def test_one_failure_does_not_stop_the_others(run, service):
    service.faults["submit"].append(faults.refused("moderation"))
    status, _, err = run("novita", "in", "-o", "out")
    assert status == 6
    assert err.count("FAILED") == 1
    assert len(list(Path("out").iterdir())) == 2


def test_refused_key_is_said_once(run, service, monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", "sk-another-one-0123456789")
    status, _, err = run("novita", "in", "-o", "out")
    assert status == 6
    assert err.count("AuthError") == 1
    assert "sk-another" not in err


def test_missing_key_names_the_ways_to_set_one(run, service, monkeypatch):
    monkeypatch.delenv("WAVESPEED_API_KEY")
    monkeypatch.delenv("WAVESPEED_BASE_URL")
    status, _, err = run("wavespeed", "in/0.png", "-o", "big.png")
    assert status == 3
    for way in ("WAVESPEED_API_KEY", "keys set wavespeed", "ComfyUI", "keys.json", "https://"):
        assert way in err


def test_picture_on_standard_output_leaves_the_report_to_standard_error(service, monkeypatch):
    written = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", written)
    assert cli.main(["photio", "in/0.png", "-o", "-", "--json"]) == 0
    with Image.open(io.BytesIO(written.buffer.getvalue())) as image:
        assert image.size == (48, 32)


def test_tasks_are_listed_resumed_and_forgotten(run, service):
    assert run("tasks")[2] == "No tasks.\n"
    run("novita", "in/0.png", "-o", "big.png")
    (row,) = json.loads(run("tasks", "--json")[1])
    assert (row["operation"], row["state"]) == ("NovitaUpscale", "done")
    assert row["ticket"] in run("tasks", "list")[1]
    status, _, err = run("tasks", "resume", row["ticket"], "-o", "again.png")
    assert (status, size("again.png")) == (0, (48, 32))
    assert "again.png" in err
    assert run("tasks", "resume", row["request"][:12])[0] == 0
    assert size(row["request"][:12] + ".png") == (48, 32)
    assert run("tasks", "forget", row["request"][:12])[0] == 0
    assert json.loads(run("tasks", "--json")[1]) == []


def test_task_in_doubt_is_resumed_by_the_id_that_its_user_found(run, service):
    service.faults["submit"].append(faults.drop_answer())
    status, _, err = run("novita", "in/0.png", "-o", "big.png")
    assert status == 7
    name = err.split("tasks resume ")[1].split()[0]
    ticket = service.tasks[0].id
    status, out, _ = run("tasks", "resume", name, "--ticket", ticket, "-o", "big.png", "--json")
    assert (status, json.loads(out)["tasks"][0]["id"]) == (0, ticket)
    assert size("big.png") == (48, 32)
    assert len(service.tasks) == 1


def test_task_of_another_machine_needs_its_operation(run, service, monkeypatch, tmp_path):
    run("novita", "in/0.png", "-o", "big.png")
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(tmp_path / "elsewhere"))
    ticket = service.tasks[0].id
    status, _, err = run("tasks", "resume", ticket, "-o", "b.png")
    assert status == 2
    assert "which operation made it" in err
    arguments = ("tasks", "resume", ticket, "--made-by", "NovitaUpscale", "-o", "b.png")
    assert run(*arguments)[0] == 0
    assert size("b.png") == (48, 32)


def test_key_is_read_without_showing_it(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    status, out, err = run("keys", "set", "photio")
    assert (status, out) == (0, "")
    (row,) = [row for row in json.loads(run("keys", "--json")[1]) if row["set"]]
    assert (row["name"], row["from"], row["hint"]) == ("photio", "file", "..6789")
    assert KEY not in err + run("keys", "list")[1]
    assert run("keys", "remove", "photio")[0] == 0
    assert not any(row["set"] for row in json.loads(run("keys", "--json")[1]))


def test_key_is_asked_for_on_a_terminal(run, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or KEY)
    assert run("keys", "set", "novita")[0] == 0
    assert asked == ["Key for novita (not shown): "]


@pytest.mark.parametrize(
    ("text", "said"), [("\n", "No key was entered"), ("short\n", "at least 8")]
)
def test_what_is_no_key_is_refused(run, monkeypatch, text, said):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    status, _, err = run("keys", "set", "novita")
    assert status == 2
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "set", "novita", KEY), "unrecognized arguments"),
        (("tasks", "forget", "abcdef123456"), "There is no task abcdef123456"),
    ],
    ids=["a key as an argument", "an unknown task"],
)
def test_what_cannot_be_done_is_said(run, arguments, said):
    status, _, err = run(*arguments)
    assert status == 2
    assert said in err


def test_environment_comes_before_the_file(run, monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-from-the-file-0123456789\n"))
    assert "NOVITA_API_KEY is set and comes first" in run("keys", "set", "novita")[2]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_parameter_is_a_flag(run, operation):
    shown = " ".join(run(operation.command, "--help")[1].split())
    names = {"quality": "--service-quality", "scale_factor": "--scale"}
    for item in operation.params():
        assert names.get(item.name, "--" + item.name.replace("_", "-")) in shown


def test_choices_with_commas_are_told_apart(run):
    shown = " ".join(run("novita", "--help")[1].split())
    assert "error; run locally; run locally, download if needed; run locally with any" in shown
    assert "{error,run" not in shown
    status, _, err = run("novita", "a.png", "-o", "b.png", "--when-unavailable", "sometimes")
    assert status == 2
    assert "'run locally, download if needed'" in err


# --- before anything is paid


@pytest.fixture
def seller(service):
    """The stand-in with a catalogue and prices."""
    service.catalogue = MODELS
    return service


def test_a_dry_run_says_sizes_payments_price_and_balance(run, seller):
    run("wavespeed", "in/1.png", "-o", "kept.png")
    status, out, err = run("wavespeed", "in", "-o", "out", "--dry-run")
    assert (status, out) == (0, "")
    assert [line.partition(": ")[2] for line in err.splitlines()[:3]] == [
        "24 x 16 -> 4096 x 2731, would be submitted and paid",
        "24 x 16 -> 4096 x 2731, is kept, free of cost",
        "24 x 16 -> 4096 x 2731, would be submitted and paid",
    ]
    assert err.splitlines()[3] == (
        "2 payments of $0.01: $0.02; $12.50 are left on the account. Nothing was sent."
    )
    assert (len(seller.tasks), Path("out").exists()) == (1, False)


def test_a_dry_run_for_programs(run, seller):
    Path("in/broken.png").write_bytes(b"none")
    Path("out").mkdir()
    Path("out/0.png").touch()
    status, out, _ = run("wavespeed-any", "in", "-o", "out", "--dry-run", "--json")
    *rows, total = [json.loads(line) for line in out.splitlines()]
    assert [row["outlook"] for row in rows] == ["skipped", "new", "new", "failed"]
    assert rows[1]["size"] == [4096, 2731]
    assert (total["payments"], total["total"], total["balance"]) == (2, 0.02, 12.5)
    assert status == 2
    assert not seller.tasks


def test_a_dry_run_where_nobody_tells_a_price(run, service):
    status, _, err = run("photio", "in", "-o", "out", "--dry-run")
    assert status == 0
    assert err.endswith("3 payments; Photio tells no price. Nothing was sent.\n")


def test_a_command_is_one_run_for_its_limit(run, seller):
    configure(max_cost_run=0.025)
    status, _, err = run("wavespeed", "in", "-o", "out")
    assert status == 3
    assert "CostLimitError: The run would cost $0.03 (3 at $0.01 each)" in err
    assert not seller.tasks
    assert run("wavespeed", "in", "-o", "out", "--dry-run")[0] == 3
    run("wavespeed", "in/0.png", "-o", "kept.png")
    assert run("wavespeed", "in", "-o", "out")[0] == 0, "one of the three is kept"


# --- what is sold


def test_the_catalogue_lists_the_live_models(run, seller):
    status, out, _ = run("catalogue")
    assert status == 0
    assert out.splitlines()[0].split() == [
        "wavespeed-any",
        "wavespeed-ai/image-upscaler",
        "from",
        "$0.01",
    ]
    assert "nextgen/upscale-9000" in out
    assert run("catalogue")[1] == out
    assert seller.count("models") == 1, "an answer holds for an hour"


def test_a_model_of_the_catalogue_is_described(run, seller):
    status, out, _ = run("catalogue", "clarity-ai/pro-upscaler")
    assert status == 0
    assert "  target_megapixels    number, 1 or more, at most 64; default 4\n" in out
    assert "--model clarity-ai/pro-upscaler --options" in out
    told = json.loads(run("catalogue", "clarity-ai/pro-upscaler", "--json")[1])
    assert told["command"] == "wavespeed-any"
    assert told["parameters"][0]["maximum"] == 64


def test_without_the_live_catalogue_what_ships_is_listed(run, service):
    status, out, err = run("catalogue")
    assert (status, len(out.splitlines())) == (0, 27)
    assert err.startswith("WaveSpeed's live catalogue cannot be read: ")
    out = run("catalogue", "recraft-ai/recraft-crisp-upscale")[1]
    assert "Its parameters come with the live catalogue" in out
    status, _, err = run("catalogue", "acme/none")
    assert (status, "No catalogue has a model 'acme/none'" in err) == (2, True)
