"""What machines share: leases, versions of the store, files and their room, promises, secrets."""

import threading
import time
from dataclasses import make_dataclass, replace
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from tests.server.sockless import TestClock, job
from tests.server.stores import LEASE, Databases, Two
from tests.server.test_files import reserve, write
from upscale_bridge.errors import SettingsError
from upscale_bridge.server import files as folders
from upscale_bridge.server import uploads, worker
from upscale_bridge.server.api_clients import ApiClient
from upscale_bridge.server.cluster import database
from upscale_bridge.server.cluster import queue as cluster_queue
from upscale_bridge.server.cluster.database import Store, StoreTable
from upscale_bridge.server.cluster.parts import files_of
from upscale_bridge.server.cluster.presence import OwnPresence
from upscale_bridge.server.cluster.queue import ClusterQueue
from upscale_bridge.server.cluster.shared import SharedPromises, SharedSecrets
from upscale_bridge.server.job_table import MIGRATIONS
from upscale_bridge.server.ledger import NoRoomError
from upscale_bridge.server.queue import Job
from upscale_bridge.server.uploads import Promise
from upscale_bridge.storage.database import Migration


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request, tmp_path, databases, clock):
    made = Two(request.param, tmp_path, databases, clock)
    yield made
    made.close()


@pytest.fixture
def queue(two):
    return long_reached(two.queue())


@pytest.fixture
def other(two):
    return long_reached(two.queue())


def long_reached(queue):
    """Let a queue have reached its database for long."""
    queue._store.reached_since -= 2 * LEASE
    return queue


def look(queue):
    """Let a queue look for dead workers at its next take."""
    queue._revived = 0.0
    return queue


def beat(queue):
    own = queue._own_presence
    queue.presence.beat(replace(own._row, machine=own.name))


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/one.sqlite3")
    yield made
    made.close()


# --- leases


def test_job_of_a_silent_worker_goes_to_another_and_what_it_delivers_has_no_effect(
    queue, other, clock
):
    one = queue.submit(job())
    late = queue.take()
    for _ in range(5):  # it lives, for as long as it says so
        clock.time += 0.9 * LEASE
        beat(queue)
        assert look(other).take() is None
    clock.time += 1.1 * LEASE
    beat(other)
    taken = look(other).take()
    assert (taken.id, taken.tries) == (one.id, 2)
    assert taken.worker != late.worker
    assert not queue.advance(late, 0.9)
    assert not queue.finish(late, "late.png")
    queue.fail(late, "late")
    queue.give_back(late)
    assert queue.get(one.id) == taken
    assert other.finish(taken, "right.png")
    assert not queue.finish(late, "late.png")
    assert queue.get(one.id).result == "right.png"


def test_job_that_kills_two_workers_is_poison(queue, two, clock):
    one = queue.submit(job())
    for tries in (1, 2):
        victim = look(long_reached(two.queue()))
        assert victim.take().tries == tries
        victim.presence.leave(victim._own())
    assert look(queue).take() is None
    found = queue.get(one.id)
    assert (found.state, found.worker) == ("failed", "")
    assert "died 2 times" in found.reason


def test_news_of_a_finish_that_got_lost_is_no_reason_to_throw_the_result_away(queue):
    queue.submit(job())
    taken = queue.take()
    assert queue.finish(taken, "a.png")
    assert queue.finish(taken, "a.png")  # as it is told again after a broken connection
    assert not queue.finish(taken, "b.png")


def test_connection_that_breaks_off_with_a_finish_costs_no_result(queue, monkeypatch):
    one = queue.submit(job())
    taken, real, broken = queue.take(), queue._store.execute, []

    def execute(sql, *values):
        if "finished = ?" in sql and not broken:
            broken.append(True)
            raise OperationalError("the connection is lost", None, Exception())
        return real(sql, *values)

    monkeypatch.setattr(queue._database, "execute", execute)
    assert queue.finish(taken, "a.png")
    assert broken
    assert queue.get(one.id).result == "a.png"


def test_worker_waits_for_a_database_that_is_away_and_a_listener_says_so(tmp_path):
    own = Databases(tmp_path)
    url = own.url("postgresql")
    store, listener = Store(url, patience=60.0, connections=2), Store(url)
    queue, there = ClusterQueue(store, own=OwnPresence(None, "cpu")), ClusterQueue(listener)
    queue.presence.enter(queue._own(), "cpu")
    there.submit(job())
    taken = queue.take()
    own.stop()
    with pytest.raises(SettingsError, match="cannot be used"):
        there.counts()
    threading.Timer(0.3, own.start).start()
    assert queue.finish(taken, "a.png")
    assert there.get(taken.id).result == "a.png"
    store.close()
    listener.close()
    own.close()


def backend(store):
    """Return the process of PostgreSQL that serves a store's connection."""
    with store.transaction(reading=True):
        return store.execute("SELECT pg_backend_pid()").scalar_one()


def test_connection_that_was_closed_just_now_costs_a_worker_nothing(databases):
    url = databases.url("postgresql")
    worker, listener = (Store(url, patience=one, connections=1) for one in (60.0, 0.0))
    before = backend(worker), backend(listener)
    with listener.transaction():
        listener.execute("SELECT pg_terminate_backend(?)", before[0])
    assert backend(worker) != before[0]
    with worker.transaction():
        worker.execute("SELECT pg_terminate_backend(?)", before[1])
    with pytest.raises(SettingsError, match="cannot be used"):  # its client asks again
        backend(listener)
    assert backend(listener) != before[1]
    worker.close()
    listener.close()


def test_nobody_is_taken_for_dead_by_who_could_not_hear(queue, two, clock):
    queue.submit(job())
    queue.take()
    clock.time += 2 * LEASE
    cut_off = two.queue()
    beat(cut_off)
    assert look(cut_off).take() is None
    beat(queue)
    assert look(long_reached(cut_off)).take() is None


@pytest.mark.parametrize("skew", [-60.0, 60.0, 40 * 86_400.0])
def test_clocks_of_machines_do_not_matter(two, skew, monkeypatch):
    """By their own calendars each machine's worker would be dead, or its job expired."""
    two.clock = None
    here, there = two.queue(), two.queue()
    one = here.submit(job(lifetime=50.0))
    taken = here.take()
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0 + skew)
    assert look(long_reached(there)).take() is None
    assert here.finish(taken, "x")
    assert there.expired() == []
    assert abs(there.time() - here.time()) < 5
    assert there.get(one.id).finished >= one.created


def test_late_jobs_are_announced_anew_while_somebody_is_idle(two, clock):
    told = []
    queue, other = two.queue(announce=told.append), two.queue()
    for _ in range(3):
        queue.submit(job())
    assert told == [1, 1, 1]
    assert queue.announce_late() == 0  # the turns may be on their way
    clock.time += 3
    assert queue.announce_late() == 3
    assert queue.announce_late(lambda: 2) == 1
    assert queue.announce_late(lambda: 5) == 0
    taken = other.take()
    assert queue.announce_late() == 2
    queue.take()
    assert queue.announce_late() == 0
    other.give_back(taken)
    assert queue.announce_late() == 2


def test_workers_are_known_with_what_they_do_and_their_counts_go_on(queue, two):
    presence = queue.presence
    row = presence.enter("first", "cuda:0", "box")
    presence.beat(replace(row, busy=7.5, done=3, loads=1, models='["a"]'))
    presence.leave("first")
    presence.enter("second", "cuda:0", "box")
    presence.enter("third", "cuda:1", "box")
    found = {one.device: one for one in queue.workers() if one.machine == "box"}
    assert (found["cuda:0"].busy, found["cuda:0"].done, found["cuda:0"].loads) == (7.5, 3, 1)
    assert found["cuda:1"].done == 0
    queue.submit(job())
    taken = queue.take()
    assert [one.job for one in queue.workers() if one.job] == [taken.id]


def test_threads_that_race_get_each_job_once(two):
    queues = [two.queue() for _ in range(4)]
    jobs = {queues[0].submit(job(customer)).id for customer in "abc" for _ in range(8)}
    gate, taken = threading.Barrier(4), []

    def work(queue):
        gate.wait()
        while (one := queue.take()) is not None:
            taken.append(one.id)
            queue.finish(one, "x")

    threads = [threading.Thread(target=work, args=(queue,)) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)


def test_end_is_told_by_one_listener(queue, other, clock):
    queue.submit(job(webhook="https://anna.example/"))
    queue.fail(queue.take(), "why")
    (due,) = other.untold(2)
    assert queue.claim_tell(due)
    assert not other.claim_tell(due)
    assert other.untold(2) == []
    clock.time += 121  # who claimed it is gone
    assert other.claim_tell(due)


# --- versions


LATER = (
    *MIGRATIONS,
    Migration("a note", "ALTER TABLE jobs ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"),
    Migration("a weight", "ALTER TABLE jobs ADD COLUMN weight REAL NOT NULL DEFAULT 2.5"),
)
NewJob = make_dataclass(
    "NewJob", [("note", str, "none"), ("weight", float, 2.5)], bases=(Job,), frozen=True
)


class NewQueue(ClusterQueue):
    """The queue of the release to come."""

    def __init__(self, store, clock):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster_queue, "MIGRATIONS", LATER)
            patch.setattr(cluster_queue, "Job", NewJob)
            super().__init__(store, clock=clock)


def test_releases_that_follow_each_other_share_a_store(queue, two, clock):
    """A listener of the new one, a worker of the old one, and the other way round; and back."""
    before = queue.submit(job())
    new = NewQueue(two.store(), clock)
    new._own_presence = queue._own_presence
    assert new.get(before.id).note == "none"
    after = new.submit(NewJob(**{**vars(job("ben")), "note": "new"}))
    for one in (queue.take(), queue.take()):  # done by the old one
        assert queue.finish(one, "x.png")
    assert new.get(after.id).note == "new"
    last = queue.submit(job("cora"))
    assert (new.take().id, new.get(last.id).weight) == (last.id, 2.5)
    restarted = two.queue()  # the old release once more, after the new one changed the store
    assert restarted.get(after.id).state == "done"


# --- files


@pytest.fixture(params=["folder", "s3"])
def files(request, two, tmp_path):
    if request.param == "folder":
        return files_of(two.store(), str(tmp_path / "files"), 1000)
    return files_of(two.store(), request.getfixturevalue("s3").url, 1000)


def test_files_of_one_listener_are_those_of_all(files):
    name = files.new_name("image/png")
    assert files.read(name) is None
    write(files, name, b"one")
    assert files.read(name) == b"one"
    file, size = files.open(name)
    with file:
        assert (file.read(2), size) == (b"on", 3)
    files.remove(name)
    files.remove(name)
    assert files.read(name) is None
    assert files.size() == 0


def test_quota_shares_and_expiry_are_the_same(files, two, clock):
    files.take(files.new_name(""), 400 * b"x", "anna", 500)
    with pytest.raises(NoRoomError, match="share"):
        reserve(files, "room", 101, "anna", 500)
    with pytest.raises(NoRoomError, match="used up"):
        reserve(files, "room", 601, "ben")
    queue = two.queue()
    source, result = files.new_name(""), files.new_name("image/png")
    write(files, source, b"source")
    one = queue.submit(job(source=source, lifetime=10.0))
    reserve(files, one.id, 300, "anna")
    files.write(result, b"result", room=one.id)
    queue.finish(queue.take(), result)
    worker.sweep(queue, files)
    assert files.read(result) == b"result"
    clock.time += 11
    worker.sweep(queue, files)
    assert (files.read(source), files.read(result), queue.get(one.id)) == (None, None, None)
    clock.time += 30 * 86_400
    worker.sweep(queue, files)
    assert files.size() == 0


def test_results_in_a_public_store_are_fetched_there(s3, store):
    import urllib.request

    files = files_of(store, s3.url, 1000)
    name = files.new_name("image/png")
    write(files, name, b"result")
    url = files.address(name, "http://listener", 3600.0)
    assert url.startswith(s3.endpoint)
    assert "X-Amz-Expires=3600" in url
    with urllib.request.urlopen(url) as reply:
        assert reply.read() == b"result"
    hidden = files_of(store, s3.url.replace("&public=", "&region="), 1000)
    assert hidden.address(name, "http://listener", 60.0) == f"http://listener/files/{name}"


def test_store_of_files_that_is_away_is_an_error_and_takes_no_room(store, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    files = files_of(store, "s3://nowhere/x?endpoint=http://127.0.0.1:9", 1000)
    with pytest.raises(SettingsError, match="see to it that the store can be reached"):
        files.take(files.new_name(""), b"x", "anna")
    assert files.size() == 0


def test_file_that_is_written_while_another_listener_starts_is_whole(two, tmp_path, monkeypatch):
    """A listener that has a folder to itself removes parts; here they may be another's."""
    place = str(tmp_path / "files")
    files = files_of(two.store(), place, 1000)
    name, real = files.new_name(""), folders.os.fsync

    def start_another(handle):
        files_of(two.store(), place, 1000)
        real(handle)

    monkeypatch.setattr(folders.os, "fsync", start_another)
    files.take(name, b"whole", "anna")
    assert files.read(name) == b"whole"


# --- promises, secrets, addresses


def test_upload_promised_by_one_listener_is_taken_by_another_once(two, monkeypatch):
    monkeypatch.setattr("upscale_bridge.server.cluster.shared.MOST_EACH", 3)
    here, there = (SharedPromises(two.store()) for _ in range(2))
    promise = Promise(ApiClient("anna", per_day=5, alone=False), 123)
    here.add("one.png", promise)
    assert there.find("one.png") == promise
    assert there.find("one.png").customer.alone is False
    assert (there.take("one.png"), here.take("one.png")) == (promise, None)
    for number in range(5):
        two.clock.time += 1
        here.add(f"{number}.png", promise)
    there.add("of ben", Promise(ApiClient("ben"), 1))
    left = [number for number in range(5) if there.find(f"{number}.png")]
    assert left == [2, 3, 4]
    assert uploads.MOST_EACH == 100


def test_all_listeners_sign_alike(two):
    keepers = [SharedSecrets(two.store()) for _ in range(3)]
    assert len({keeper.of("anna") for keeper in keepers}) == 1
    assert keepers[0].of("anna") != keepers[0].of("ben")


@pytest.mark.parametrize(
    "url", ["", "x", "mysql://a:secret@b/c", "postgresql+nothing://a:secret@b"]
)
def test_store_of_another_kind_is_refused_without_its_password(url):
    with pytest.raises(SettingsError, match="--store must be") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("place", ["", "relative", "s3:///x", "s3://b?key=secret", "ftp+x://a/b"])
def test_place_of_another_kind_is_refused(place, store):
    with pytest.raises(SettingsError) as caught:
        files_of(store, place, 1000)
    assert "secret" not in str(caught.value)


def test_database_that_is_away_is_an_error_without_its_password():
    store = Store("postgresql://anna:secret@127.0.0.1:9/jobs")
    with pytest.raises(SettingsError, match=r"127.0.0.1/jobs cannot be used") as caught:
        StoreTable(store, "jobs", Job, MIGRATIONS)
    store.close()
    assert "secret" not in str(caught.value)


def test_database_that_knows_of_no_alphabet_keeps_all_letters(databases):
    """As one is that was made where no language is set."""
    ascii_only = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    store = Store(databases.url("postgresql", options=ascii_only))
    queue = ClusterQueue(store, 50, lambda turns: None, None, TestClock(), LEASE)
    one = queue.submit(job("Jürgen 图"))
    assert queue.get(one.id).customer == "Jürgen 图"
    store.close()


def test_the_databases_time_is_asked_now_and_then(tmp_path, monkeypatch):
    store, asked, here = Store(f"sqlite:///{tmp_path}/queue.sqlite3"), [], [100.0]
    execute = store.execute
    monkeypatch.setattr(store, "execute", lambda sql: (asked.append(sql), execute(sql))[1])
    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=lambda: here[0]))
    with store.transaction():
        first = store.now()
        assert abs(first - time.time()) < 60
        here[0] += 4.0
        assert store.now() == pytest.approx(first + 4.0, abs=1e-3)
        assert len(asked) == 1
        here[0] += 2.0
        assert store.now() == pytest.approx(first, abs=3.0), "what the database says"
        assert len(asked) == 2
