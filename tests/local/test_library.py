"""Which models are found under which names."""

import os
import shutil
import threading
import time

import pytest
from safetensors.torch import save_file

from upscale_bridge.contract.enlarging import SHIPPED_MODEL
from upscale_bridge.errors import ModelNotFoundError, StoppedError, UnsupportedModelError
from upscale_bridge.local import library as library_module
from upscale_bridge.local.catalogue import catalogue, find_spec
from upscale_bridge.local.library import SHIPPED_FOLDER, Library, own_model_folder
from upscale_bridge.monitor import Monitor


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
def library(folder):
    made = Library(lambda: [folder])
    yield made
    made.release()


@pytest.fixture
def put(folder, state):
    """Put weights of a tiny model into the folder."""
    weights = dict(state(width=8))

    def write(name):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path)
        return path

    return write


def test_shipped_model_comes_first_and_is_there(library):
    first = library.entries()[0]
    assert (first.name, first.origin) == (SHIPPED_MODEL, "shipped")
    assert library.load(SHIPPED_MODEL, Monitor()).scale == 4


def test_shipped_model_is_not_shadowed(library, put):
    put(f"{SHIPPED_MODEL}.safetensors")
    assert library.find(SHIPPED_MODEL).parent == SHIPPED_FOLDER


def test_default_folder_lies_in_the_data_folder(own_home):
    assert own_model_folder() == own_home / "models"
    assert Library().find("anything") is None


@pytest.mark.parametrize(
    "name", ["Foo", "foo", "FOO", "Foo.safetensors", "foo.SAFETENSORS", "Foo.pth"]
)
def test_model_is_found_by_stem_extension_and_case(library, put, name):
    path = put("Foo.safetensors")
    assert library.find(name) == path


def test_models_in_subfolders_are_found_both_ways(library, put):
    path = put("anime/Bar.safetensors")
    assert [library.find(name) for name in ("anime/Bar", "anime\\bar", "Bar")] == [path] * 3
    assert "anime/Bar" in [entry.name for entry in library.entries()]


def test_file_is_found_by_an_alias(library, put):
    path = put("RealESRGAN_x4plus_anime_6B.safetensors")
    assert library.find("R-ESRGAN 4x+ Anime6B") == path
    assert library.find("RealESRGAN_x4plus_anime_6B.pth") == path


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        *(([f"model{end}"], "model", f"model{end}") for end in (".pth", ".pt", ".ckpt", ".sft")),
        (["model.SAFETENSORS"], "model", "model.SAFETENSORS"),
        (["notes.txt"], "notes", None),
        (["model.safetensors.part"], "model", None),
        (["model.pth", "model.safetensors"], "model", "model.safetensors"),
        (["model.pth", "model.safetensors"], "model.pth", "model.pth"),
    ],
)
def test_weights_are_known_by_their_extensions(library, put, files, name, found):
    paths = {file: put(file) for file in files}
    assert library.find(name) == paths.get(found)


def test_linked_files_and_folders_are_found(library, put, folder, tmp_path):
    real = put("real.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (folder / "link.safetensors").symlink_to(real)
    (tmp_path / "more").mkdir()
    shutil.copy(real, tmp_path / "more" / "deep.safetensors")
    (folder / "sub").symlink_to(tmp_path / "more", target_is_directory=True)
    assert library.load("link", Monitor()).scale == 4
    assert library.find("sub/deep") == folder / "sub" / "deep.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "../outside.safetensors",
        "..\\outside",
        "sub/../../outside",
        "{root}/outside",
        "{root}/outside.safetensors",
        "file://{root}/outside.safetensors",
        "",
        ".",
        "..",
        "/",
        "\0",
        "outside\0",
    ],
)
def test_names_cannot_lead_out_of_the_folders(library, put, tmp_path, name):
    put("x.safetensors").rename(tmp_path / "outside.safetensors")
    wanted = name.format(root=tmp_path)
    assert library.find(wanted) is None
    with pytest.raises(ModelNotFoundError):
        library.load(wanted, Monitor(), may_download=True)


def test_missing_known_model_says_what_to_do(library, folder):
    with pytest.raises(ModelNotFoundError) as caught:
        library.load("4x-ultrasharp", Monitor())
    spec = find_spec("4x-UltraSharp")
    for part in (spec.licence, "non-commercial", spec.url, spec.file_name, str(folder)):
        assert part in str(caught.value)
    assert SHIPPED_MODEL in str(caught.value)


def test_unknown_model_gets_a_hint(library, put, folder):
    put("MyFavourite.safetensors")
    with pytest.raises(ModelNotFoundError, match="Did you mean MyFavourite") as caught:
        library.load("MyFavorite", Monitor())
    assert str(folder) in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="Did you mean RealESRNet_x4plus"):
        library.load("RealESRNet_x4", Monitor())


def test_unknown_model_without_likeness_gets_none(library):
    with pytest.raises(ModelNotFoundError) as caught:
        library.load("qqqqqqqq", Monitor())
    assert "Did you mean" not in str(caught.value)


def test_entries_list_what_is_missing_for_download(library, put):
    before = {entry.name: entry.origin for entry in library.entries()}
    put("RealESRGAN_x4plus_anime_6B.pth")
    after = {entry.name: entry for entry in library.entries()}
    assert before["RealESRGAN_x4plus_anime_6B"] == "download"
    assert after["RealESRGAN_x4plus_anime_6B"].origin == "found"
    assert after["RealESRGAN_x4plus_anime_6B"].spec.licence == "BSD-3-Clause"
    upscalers = [spec for spec in catalogue() if spec.use == "upscale"]
    assert len(before) == len(after) == len(upscalers) + 1


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("YuNet", "face_detection_yunet_2026may.onnx"),
        ("GFPGANv1.4", "../GFPGAN/GFPGANv1.4.pth"),
        ("CodeFormer", "../Codeformer/codeformer-v0.1.0.pth"),
        ("codeformer.pth", "../facerestore_models/codeformer.pth"),
        ("RestoreFormer", "below/RestoreFormer.ckpt"),
    ],
)
def test_models_for_faces_are_found_where_hosts_keep_them_and_are_no_upscalers(
    library, folder, name, place
):
    assert library.find(name) is None
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"weights")
    assert library.find(name).resolve() == path.resolve()
    entry = next(one for one in library.face_entries() if one.path is not None)
    assert name.casefold() in entry.spec.names
    assert entry.origin == "found"
    assert {one.origin for one in library.entries()} == {"shipped", "download"}


def test_models_for_faces_are_downloaded_into_the_programs_own_folder(
    tmp_path, folder, monkeypatch, recorder
):
    monkeypatch.setattr(
        "upscale_bridge.local.library.download",
        lambda url, target, monitor, **checks: target.write_bytes(b""),
    )
    library = Library(lambda: [folder, tmp_path / "own"])
    assert library.fetch(find_spec("YuNet"), recorder()).parent == tmp_path / "own"
    assert library.path("YuNet", recorder()).parent == tmp_path / "own"
    with pytest.raises(ModelNotFoundError, match=r"GFPGANv1\.4 is not on .* leave faces as they"):
        library.load_faces("GFPGANv1.4", recorder())


def test_download_goes_into_the_first_folder(put, folder, tmp_path, monkeypatch, recorder):
    fetched = []
    source = put("x.safetensors").rename(tmp_path / "source")

    def download(url, target, monitor, *, size, sha256):
        fetched.append((url, target, size, sha256))
        shutil.copy(source, target)

    monkeypatch.setattr(library_module, "download", download)
    monitor = recorder()
    spec = find_spec("4x-UltraSharp")
    library = Library(lambda: [tmp_path / "new" / "first", folder])
    assert library.load("4x-UltraSharp", monitor, may_download=True).scale == 4
    target = tmp_path / "new" / "first" / spec.file_name
    assert fetched == [(spec.url, target, spec.size, spec.sha256)]
    assert monitor.notices == [str(spec.terms)]
    assert library.find("4x-UltraSharp") == target


def test_loaded_models_are_kept(library, put, recorder):
    put("one.safetensors")
    monitor = recorder()
    assert library.load("one", monitor) is library.load("ONE.safetensors", monitor)
    assert monitor.lines == ["loading one"]


def test_only_the_last_used_are_kept(library, put):
    for name in ("one", "two", "three"):
        put(f"{name}.safetensors")
    one, two = (library.load(name, Monitor()) for name in ("one", "two"))
    assert library.load("one", Monitor()) is one
    library.load("three", Monitor())
    assert library.load("one", Monitor()) is one
    assert library.load("two", Monitor()) is not two


def test_changed_file_is_loaded_again(library, put, state, folder):
    put("one.safetensors")
    assert library.load("one", Monitor()).scale == 4
    save_file(dict(state(width=8, scale=2)), folder / "one.safetensors")
    assert library.load("one", Monitor()).scale == 2


@pytest.mark.parametrize("way", ["replaced", "written"])
def test_file_of_the_same_age_and_size_is_loaded_again(library, put, folder, way):
    path = put("one.safetensors")
    first = library.load("one", Monitor())
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    new = path.with_suffix(".new") if way == "replaced" else path
    new.write_bytes(data)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)
    second = library.load("one", Monitor())
    assert second is not first
    assert library.load("one", Monitor()) is second


def test_replaced_file_takes_no_second_place(library, put):
    put("other.safetensors")
    other = library.load("other", Monitor())
    for _ in range(3):
        put("one.safetensors")
        library.load("one", Monitor())
    assert library.load("other", Monitor()) is other


def test_file_that_vanishes_is_told_in_one_sentence(library, put, monkeypatch):
    path = put("one.safetensors")
    path.unlink()
    monkeypatch.setattr(library, "find", lambda name: path)
    with pytest.raises(ModelNotFoundError, match=r"^one\.safetensors cannot be read .*removed"):
        library.load("one", Monitor())


@pytest.mark.parametrize("name", ["Foo", "foo.onnx", "deep/FOO", "deep\\Foo.onnx"])
def test_model_in_a_format_of_others_is_named_as_such(library, put, name):
    put("deep/Foo.onnx")
    with pytest.raises(UnsupportedModelError, match=r"Foo\.onnx is there, but its format cannot"):
        library.load(name, Monitor())


def test_readable_model_goes_before_one_that_is_not(library, put):
    put("Foo.bin")
    path = put("Foo.pth")
    assert library.find("Foo") == path
    with pytest.raises(ModelNotFoundError, match=r"There is no model 'Foo\.txt'"):
        library.load("Foo.txt", Monitor())


def test_release_forgets(library, put):
    put("one.safetensors")
    first = library.load("one", Monitor())
    library.release()
    assert library.load("one", Monitor()) is not first


def test_idle_models_are_released(put, folder):
    released = threading.Event()

    class Watched(Library):
        def release(self):
            super().release()
            released.set()

    put("one.safetensors")
    library = Watched(lambda: [folder], idle_seconds=0.01)
    first = library.load("one", Monitor())
    assert released.wait(20)
    assert library.load("one", Monitor()) is not first


def test_folders_that_do_not_exist_are_no_error(tmp_path):
    library = Library(lambda: [tmp_path / "gone"])
    assert [entry.origin for entry in library.entries()][:2] == ["shipped", "download"]


def test_a_model_that_several_ask_for_is_downloaded_once(library, put, folder, monkeypatch):
    weights = put("elsewhere.safetensors").read_bytes()
    begun, fetched, everybody = [], [], threading.Barrier(4)

    def download(url, target, monitor, *, size, sha256):
        begun.append(url)
        time.sleep(0.2)
        (folder / "4x-UltraSharp.safetensors").write_bytes(weights)

    def ask():
        everybody.wait(5)
        fetched.append(library.fetch(find_spec("4x-UltraSharp"), Monitor()))

    monkeypatch.setattr(library_module, "download", download)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(begun), len(fetched)) == (1, 4)


def test_who_waits_for_a_download_can_stop(library, monkeypatch):
    class Stop(Monitor):
        def check(self):
            raise StoppedError

    library._fetching.acquire()
    with pytest.raises(StoppedError):
        library.fetch(find_spec("4x-UltraSharp"), Stop())
    library._fetching.release()


def test_links_in_a_circle_list_each_model_once(tmp_path):
    for name in ("deep/one.pth", "other/two.pth", "three.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    links = {"up": "", "deep/up": "", "deep/self": "deep", "also": "deep"}
    links |= {"deep/there": "other", "other/back": "deep"}
    for place, target in links.items():
        (tmp_path / place).symlink_to(tmp_path / target, target_is_directory=True)
    library = Library(lambda: [tmp_path])
    found = [entry.name for entry in library.entries() if entry.origin == "found"]
    assert found == ["deep/one", "other/two", "three"]
    # Workflows that were saved with another name go on.
    for name in ("also/one", "other/back/one.pth", "deep/there/two"):
        assert library.find(name).name == f"{name.removesuffix('.pth').rsplit('/', 1)[-1]}.pth"


def test_linked_folder_is_listed_under_the_name_of_the_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/one.pth").touch()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "models/gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    entries = Library(lambda: [tmp_path / "models"]).entries()
    assert [entry.name for entry in entries if entry.origin == "found"] == ["link/one"]
