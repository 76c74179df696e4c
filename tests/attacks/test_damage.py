"""Damaged journals and queues: one sentence, not a byte changed, and what can be read is saved."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import enlarged, picture
from tests.stored import DATA, FILES, recorded
from upscale_bridge.cli import main
from upscale_bridge.errors import AmbiguousSubmitError, SettingsError, TaskLostError
from upscale_bridge.remote.journal import FILE, Journal, Task
from upscale_bridge.server.sqlite_queue import SqliteQueue
from upscale_bridge.storage.settings import home

OPEN = {"journal": Journal, "queue": SqliteQueue}
PAGE = 4096


def all_rows(kind, folder):
    database = OPEN[kind](folder)._database
    with database.transaction():
        return database.rows(f"SELECT * FROM {FILES[kind][1]}")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A journal of many pages, and its rows."""
    folder = tmp_path_factory.mktemp("large")
    journal = Journal(folder)
    with journal._database.transaction():
        for number in range(300):
            row = Task(
                f"{number:032x}", "novita", "https://a.example", "NovitaUpscale", "{}" * 40,
                state="running", ticket=f"ticket-{number}",
            )  # fmt: skip
            journal._database.insert(row)
    rows = {row.request: row for row in journal.all()}
    journal._database._connection.close()
    return (folder / FILE).read_bytes(), rows


DAMAGES = {
    "not sqlite": lambda data: b"This is no database. " * 300,
    "empty": lambda data: b"",
    "only the head": lambda data: data[:100],
    "half a page": lambda data: data[: PAGE // 2],
    "one page": lambda data: data[:PAGE],
    "half": lambda data: data[: len(data) // 2],
    "one page short": lambda data: data[:-PAGE],
    "odd length": lambda data: data[:-777],
    "zeros": lambda data: bytes(len(data)),
    "first page lost": lambda data: bytes(PAGE) + data[PAGE:],
    "second page lost": lambda data: data[:PAGE] + bytes(PAGE) + data[2 * PAGE :],
    "last page lost": lambda data: data[:-PAGE] + bytes(PAGE),
    "middle pages lost": lambda data: data[: 5 * PAGE] + b"\xff" * 2 * PAGE + data[7 * PAGE :],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_journal_is_said_not_changed_and_saved_as_far_as_it_goes(
    tmp_path, large, name, capsys, monkeypatch
):
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(tmp_path))
    data, rows = large
    path = tmp_path / FILE
    path.write_bytes(DAMAGES[name](data))
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"damaged .* left as it is.* tasks repair"):
            Journal(tmp_path).claim(next(iter(rows.values())), 7)
    assert path.read_bytes() == before
    assert main(["tasks", "repair"]) == 0
    said = capsys.readouterr().err
    assert (tmp_path / f"{FILE}.damaged-1").read_bytes() == before
    found = Journal(tmp_path).all()
    assert f"{len(found)} tasks could be read" in said
    assert all(rows[row.request] == row for row in found)
    least = {"one page short": 250, "odd length": 250, "last page lost": 250, "half": 80}
    least["middle pages lost"] = 200
    assert len(found) >= least.get(name, 0)
    assert main(["tasks", "repair"]) == 0
    assert "Nothing is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("kind", FILES)
def test_flipped_bytes_never_lead_to_anything_but_rows_or_a_sentence(tmp_path, kind):
    """Some flips hit what nobody reads; such a file opens. None may end in another error."""
    dice = random.Random(20261126)
    source = (DATA / kind / "v1.sqlite3").read_bytes()
    known = {next(iter(row.values())) for row in recorded(DATA / kind / "v1.sqlite3")}
    path, refused = tmp_path / FILES[kind][0], 0
    for _ in range(60):
        for side in ("", "-wal", "-shm", ".bak"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        data = bytearray(source)
        start, length = dice.randrange(len(data)), dice.choice([1, 8, 300, 4096])
        for at in range(start, min(start + length, len(data))):
            data[at] = dice.randrange(256)
        path.write_bytes(data)
        try:
            rows = all_rows(kind, tmp_path)
        except SettingsError as error:
            refused += 1
            assert "\n" not in str(error)
            assert path.read_bytes() == bytes(data)
        else:
            assert len(rows) <= len(known)
    assert refused > 10


def test_queue_that_is_damaged_is_said(tmp_path):
    (tmp_path / "queue.sqlite3").write_bytes(b"x" * 5000)
    with pytest.raises(SettingsError, match=r"damaged .* left as it is\. Move it away and keep it"):
        SqliteQueue(tmp_path).counts()


def test_nothing_is_submitted_while_the_journal_is_damaged(vendor):
    vendor.run("novita")
    vendor.host.client.journal._database._connection.close()
    (home() / FILE).write_bytes(b"x" * 5000)
    vendor.host = vendor.another()
    with pytest.raises(SettingsError, match="tasks repair"):
        vendor.run("novita", picture(1))
    assert len(vendor.fake.tasks) == vendor.submits() == 1


def lose_journal(remote):
    """Let the file vanish, with all its rows."""
    remote.host.client.journal._database._connection.close()
    for path in home().glob(f"{FILE}*"):
        path.unlink()
    remote.host = remote.another()


@pytest.mark.parametrize("command", ["novita", "photio"])
def test_results_outlive_a_journal_that_is_lost(vendor, command):
    """Their names are those of their requests."""
    vendor.run(command)
    lose_journal(vendor)
    found = vendor.run(command)
    assert torch.equal(found.images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == 1
    assert [row.state for row in vendor.rows] == ["done"]
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))


def test_damaged_result_of_a_lost_journal_is_said_before_it_is_paid_again(vendor):
    vendor.run("novita")
    lose_journal(vendor)
    (path,) = (home() / "results").iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TaskLostError, match="costs again"):
        vendor.run("novita")
    assert len(vendor.fake.tasks) == 1
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))


def test_tickets_of_a_damaged_journal_are_saved(vendor, capsys):
    """The rows that can be read bring their results, free."""
    vendor.fake.faults["submit"].append(faults.reset_after_accept())
    with pytest.raises(AmbiguousSubmitError):
        vendor.run("novita", picture(1))
    vendor.run("novita")
    for path in (home() / "results").iterdir():
        path.unlink()
    before = [asdict(row) for row in vendor.rows]
    vendor.host.client.journal._database._connection.close()
    with closing(sqlite3.connect(home() / FILE)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'by_ticket'"
        ).fetchall()
    data = bytearray((home() / FILE).read_bytes())
    data[(page - 1) * PAGE : page * PAGE] = b"\xff" * PAGE
    (home() / FILE).write_bytes(data)
    vendor.host = vendor.another()
    with pytest.raises(SettingsError, match="tasks repair"):
        vendor.run("novita")
    shutil.rmtree(home() / "owners")  # the programs of this test have ended
    assert main(["tasks", "repair"]) == 0
    vendor.host = vendor.another()
    assert [asdict(row) for row in vendor.rows] == before
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    with pytest.raises(AmbiguousSubmitError):
        vendor.run("novita", picture(1))
    assert len(vendor.fake.tasks) == vendor.submits() == 2


def test_repair_waits_for_other_programs(vendor):
    journal = vendor.another().client.journal
    journal.claim(Task("a" * 32, "novita", "https://a.example", "NovitaUpscale", "{}"), 7)
    journal._database._connection.close()
    (home() / FILE).write_bytes(b"x" * 5000)
    with pytest.raises(SettingsError, match="Other programs use the journal"):
        vendor.host.client.journal.repair()
    assert (home() / FILE).read_bytes() == b"x" * 5000
