"""A weights file from a stranger runs nothing, and costs what its size is the reason for."""

import io
import json
import os
import pickle
import struct
import threading
import time
import tracemalloc
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tests.attacks.opcodes import Program
from upscale_bridge.errors import UnsupportedModelError
from upscale_bridge.local import pickles, reader
from upscale_bridge.local.loader import import_spandrel, load_model
from upscale_bridge.local.reader import read_weights
from upscale_bridge.local.scan import EXTENSIONS

MEGABYTE = 1 << 20
ODD = (*EXTENSIONS, ".SAFETENSORS", ".Pth", ".bin", "")


def whole(tree):
    return tree


def refusal(path, read=load_model, size=None):
    """Return the one sentence that refuses a file, quickly and without taking memory."""
    tracemalloc.start()
    start = time.thread_time()
    with pytest.raises(UnsupportedModelError) as caught:
        read(path)
    seconds = time.thread_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (4 * path.stat().st_size + 4 * MEGABYTE if size is None else size)
    assert seconds < 3
    text = str(caught.value)
    assert text.startswith(path.name)
    assert str(path.parent) not in text
    assert "\n" not in text
    return text


class Layer(torch.nn.Module):
    """A module of TorchScript that writes a file when it is loaded."""

    def __init__(self, trap: str):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.trap = trap

    @torch.jit.export
    def __getstate__(self):
        return (self.trap, self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        self.trap = state[0]
        numbers = torch.from_file(state[0], True, 4)
        self.weight = numbers.fill_(1.0)
        self.training = state[2]

    def forward(self, x):
        return x * 2


@pytest.fixture
def path(tmp_path):
    """Where a test writes its model."""
    return tmp_path / "model.pth"


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Measure files, not the import of spandrel."""
    import_spandrel()


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A TorchScript archive, and the file that it writes when it is run."""
    trap = tmp_path_factory.mktemp("trap") / "trap"
    buffer = io.BytesIO()
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Layer(str(trap))), buffer)
    assert not trap.exists()
    return buffer.getvalue(), trap


def test_trap_would_have_worked(script):
    data, trap = script
    with pytest.warns(DeprecationWarning):
        torch.jit.load(io.BytesIO(data))
    assert trap.exists()
    trap.unlink()


@pytest.mark.parametrize("extension", ODD)
def test_torchscript_is_refused_unread_under_every_name(script, tmp_path, extension, monkeypatch):
    data, trap = script
    monkeypatch.setattr(pickles, "_Machine", None)
    path = tmp_path / f"model{extension}"
    path.write_bytes(data)
    text = refusal(path)
    assert "is TorchScript" in text
    assert ".safetensors" in text
    assert not trap.exists()


def renamed(data, change, **options):
    """Return the archive with its entries under other names."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", **options) as new:
        for info in old.infolist():
            new.writestr(change(info.filename), old.read(info))
    return made.getvalue()


DISGUISES = {
    "upper case": lambda data: renamed(data, str.upper),
    "another folder": lambda data: renamed(data, lambda name: f"x/y/{name}"),
    "no folder": lambda data: renamed(data, lambda name: name.split("/", 1)[-1]),
    "back slashes": lambda data: renamed(data, lambda name: name.replace("/", "\\")),
    "compressed": lambda data: renamed(data, str, compression=zipfile.ZIP_DEFLATED),
    "without its constants": lambda data: renamed(data, lambda n: n.replace("constants", "c")),
    "without its code": lambda data: renamed(data, lambda n: n.replace("code/", "c/")),
}
ODD_ARCHIVES = {
    "bytes before": lambda data: b"\x80\x02}q\x00." + data,
    "a header of safetensors before": lambda data: struct.pack("<Q", 2) + b"{}" + data,
    "bytes behind": lambda data: data + b"behind",
    "a comment": lambda data: data[:-2] + b"\6\0behind",
    "two archives": lambda data: data + data,
    "two tables of contents": lambda data: data[:-22] + data[data.rindex(b"PK\1\2") :],
    "cut off": lambda data: data[:-30],
    "no end": lambda data: data.replace(b"PK\5\6", b"PK\5\7"),
}


@pytest.mark.parametrize("extension", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("kind", [*DISGUISES, *ODD_ARCHIVES])
def test_torchscript_in_disguise_is_refused(script, tmp_path, kind, extension):
    data, trap = script
    path = tmp_path / f"model{extension}"
    path.write_bytes({**DISGUISES, **ODD_ARCHIVES}[kind](data))
    text = refusal(path)
    assert ("is TorchScript" in text) == (kind in DISGUISES)
    assert "nothing in it was run" in text
    assert not trap.exists()


def network(scale=4):
    """Return the weights of a small network."""
    import_spandrel()
    from spandrel.architectures.Compact import Compact

    return dict(Compact(num_feat=8, num_conv=2, upscale=scale).state_dict())


@pytest.fixture
def good():
    return network()


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [*DISGUISES, *ODD_ARCHIVES])
def test_weights_in_odd_archives_are_refused(good, path, kind):
    """Programs differ in how they read these: what one checks, another would not load."""
    path.write_bytes({**DISGUISES, **ODD_ARCHIVES}[kind](saved(good)))
    if kind.startswith("without"):
        assert load_model(path).scale == 4
    elif kind in ("another folder", "upper case", "no folder", "back slashes"):
        try:
            assert load_model(path).scale == 4
        except UnsupportedModelError as error:
            assert "nothing in it was run" in str(error)
    else:
        refusal(path)


def entry_twice(data, tmp_path):
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(
            next(n for n in archive.namelist() if n.endswith("data.pkl")), b"\x80\x02}."
        )
    return made.getvalue()


def entry_in_other_case(data, tmp_path):
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("archive/DATA.PKL", b"\x80\x02}.")
    return made.getvalue()


def other_name_inside(data, tmp_path):
    """The entry's own header names another file than the table of contents."""
    return data.replace(b"archive/data.pkl", b"archive/DATA.pkl", 1)


def overlapping(data, tmp_path):
    """A table of contents where one entry reaches into the next."""
    at = data.index(b"PK\1\2") + 20
    size = int.from_bytes(data[at : at + 4], "little") + 500
    return data[:at] + 2 * size.to_bytes(4, "little") + data[at + 8 :]


def big_endian(data, tmp_path):
    return data.replace(b"little", b"big   ")


@pytest.mark.parametrize(
    "change", [entry_twice, entry_in_other_case, other_name_inside, overlapping, big_endian]
)
def test_archives_that_mean_two_things_are_refused(good, tmp_path, path, change):
    path.write_bytes(change(saved(good), tmp_path))
    refusal(path)


def test_tar_of_the_oldest_torch_is_refused(path):
    """CVE-2025-32434: torch before 2.6 runs what such a file names, whatever it was told."""
    import tarfile

    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle", "sys_info"):
            data = pickle.dumps(1)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert "does not begin like one" in refusal(path)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("extension", ODD)
def test_code_in_a_plain_pickle_is_not_run_under_any_name(tmp_path, extension):
    path, trap = tmp_path / f"evil{extension}", tmp_path / "trap"
    path.write_bytes(pickle.dumps(Hostile(trap)))
    refusal(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())
    assert trap.exists(), "it would have worked"


NAMES = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("__builtin__", "apply"),
    ("subprocess", "Popen"),
    ("torch", "from_file"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("torch", "UntypedStorage.from_file"),
    ("torch.storage", "UntypedStorage._new_shared_filename_cpu"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch._utils", "__builtins__"),
    ("collections", "__builtins__"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy", "load"),
    ("numpy", "memmap"),
    ("numpy.core.multiarray", "fromfile"),
    ("pathlib", "Path.write_bytes"),
    ("operator", "attrgetter"),
    ("functools", "partial"),
    ("torch\nos", "system"),
    ("torch", "FloatStorage\x1b[31m"),
    ("", ""),
]


@pytest.mark.parametrize("form", ["GLOBAL", "STACK_GLOBAL"])
@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda text: ascii(text))
def test_names_that_no_weights_need_are_refused(path, module, name, form):
    """Wherever they stand, and whether or not they are called."""
    program = Program().dictionary(params=Program().called(module, name, form))
    for data in (program.archive(), program.legacy()):
        path.write_bytes(data)
        text = refusal(path)
        if form == "STACK_GLOBAL":
            assert "which no weights need; nothing in it was run" in text
            assert text.isprintable()


@pytest.mark.parametrize(
    "names",
    [
        ("torch", "FloatStorage", "from_file"),
        ("argparse", "Namespace", "x"),
        ("collections", "OrderedDict", "fromkeys"),
    ],
)
def test_attributes_of_harmless_names_are_not_reached(path, names):
    module, name, attribute = names
    path.write_bytes(
        Program().dictionary(params=Program().called(module, f"{name}.{attribute}")).archive()
    )
    assert "which no weights need" in refusal(path)


def test_state_is_set_on_nothing(path, good):
    """BUILD would write into the class or function on the stack, of this process."""
    before = dict(vars(pickles.Thing))
    state = Program().dictionary(__setstate__=Program().text("x"), poison=Program().text("y"))
    for target in (
        Program().name("argparse", "Namespace"),
        Program().name("torch._utils", "_rebuild_tensor_v2"),
        Program().called("collections", "OrderedDict"),
    ):
        path.write_bytes(Program().dictionary(params=Program().built(target, state)).archive())
        refusal(path)
    assert dict(vars(pickles.Thing)) == before
    assert not hasattr(torch._utils._rebuild_tensor_v2, "poison")


BOMBS = {
    "a tuple of tuples as a key": Program().laughs(60).as_key(),
    "lists of lists": Program().laughs(60, "APPENDS"),
    "an endless byte string": Program(b"\x8e" + struct.pack("<Q", 1 << 60)),
    "an endless text": Program(b"\x8d" + struct.pack("<Q", 1 << 60)),
    "an endless number": Program(b"\x8b" + struct.pack("<i", (1 << 31) - 1)),
    "a negative number of bytes": Program(b"\x8b" + struct.pack("<i", -1)),
    "a far place in the memo": Program(b"}r" + struct.pack("<I", (1 << 32) - 1)),
    "a frame of no end": Program(b"\x95" + struct.pack("<Q", 1 << 62) + b"}"),
    "marks": Program(b"(" * 40_000),
    "tuples in tuples": Program(b")" + b"\x85" * 40_000),
    "dictionaries": Program(b"(" + b"}" * 40_000 + b"l"),
    "a text number": Program(b"I" + b"9" * MEGABYTE + b"\n"),
    "an extension": Program(b"\x82\x01"),
    "a big byte array": Program().called("builtins", "bytearray", argument=1 << 40),
    "a loop": Program(b"}q\x00X\x01\x00\x00\x00ah\x00s"),
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("form", ["archive", "legacy"])
def test_pickles_that_grow_are_refused(path, kind, form):
    path.write_bytes(getattr(BOMBS[kind], form)())
    refusal(path, size=10 * MEGABYTE)


def test_endless_pickle_ends(path):
    path.write_bytes(Program(b"N0" * MEGABYTE).archive())
    assert "has more than 500000 instructions" in refusal(path)


SHAPES = {
    "repeated": ((20_000, 20_000), (0, 0), 0),
    "one too many": ((17,), (1,), 0),
    "one behind": ((16,), (1,), 1),
    "far steps": ((2,), (1 << 62,), 0),
    "backwards": ((4,), (-1,), 3),
    "before the start": ((4,), (1,), -1),
    "negative": ((-4, -4), (1, 1), 0),
    "huge and empty": ((1 << 40, 0), (0, 1), 0),
    "huge": ((1 << 62, 1 << 62), (1, 1), 0),
    "too many sides": ((1,) * 30, (1,) * 30, 0),
    "unequal": ((4, 4), (1,), 0),
    "true": ((True, 4), (4, 1), 0),
    "text": (("4",), (1,), 0),
    "no tuple": (4, 1, 0),
    "nothing": (None, None, None),
}


@pytest.mark.parametrize("form", ["archive", "legacy"])
@pytest.mark.parametrize("kind", SHAPES)
def test_tensors_larger_than_their_numbers_are_refused(path, kind, form):
    program = Program().dictionary(weight=Program().tensor(*SHAPES[kind]))
    path.write_bytes(getattr(program, form)(bytes(64)))
    refusal(path, lambda path: read_weights(path, whole))


@pytest.mark.parametrize(
    ("type_", "count"),
    [
        *(("FloatStorage", 17), ("FloatStorage", 1 << 60), ("FloatStorage", -1)),
        *(("DoubleStorage", 9), ("ComplexFloatStorage", 8), ("QInt8Storage", 64)),
        *(("Tensor", 4), ("UntypedStorage", 65)),
    ],
)
@pytest.mark.parametrize("form", ["archive", "legacy"])
def test_storages_larger_than_the_file_are_refused(path, type_, count, form):
    program = Program().dictionary(w=Program().tensor((4,), (1,), 0, type_=type_, count=count))
    path.write_bytes(getattr(program, form)(bytes(64)))
    refusal(path, lambda path: read_weights(path, whole))


def test_numbers_that_many_tensors_share_are_not_copied_without_end(path):
    shared = torch.zeros(200_000)
    torch.save({f"w{number}": shared for number in range(3)}, path)
    assert len(read_weights(path, whole)) == 3
    torch.save({f"w{number}": shared for number in range(100)}, path)
    assert "share their numbers too often" in refusal(path)


def header_only(header, size=64):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def entry(start=0, stop=64, shape=(16,), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


HEADERS = {
    "length beyond the file": struct.pack("<Q", 1 << 40) + b"{}",
    "length of four gigabytes": struct.pack("<Q", (1 << 32) - 1) + b"{}" + bytes(99),
    "nothing": header_only({}),
    "no JSON": header_only(b"{oops}"),
    "deep JSON": header_only(b'{"a":' + b"[" * 200_000),
    "a list": header_only(b"[]"),
    "long numbers": header_only(b'{"a":' + b"9" * 100_000 + b"}"),
    "overlap": header_only({"a": entry(), "b": entry(32, 64, (8,))}),
    "behind the end": header_only({"a": entry(0, 128, (32,))}),
    "shape larger": header_only({"a": entry(shape=(17,))}),
    "shape huge": header_only({"a": entry(shape=(1 << 40, 1 << 40))}),
    "shape huge and empty": header_only({"a": entry(0, 0, (1 << 40, 0))}),
    "many sides": header_only({"a": entry(shape=(1,) * 100_000)}),
    "negative": header_only({"a": entry(shape=(-4, -4))}),
    "backwards": header_only({"a": entry(64, 0)}),
    "before": header_only({"a": entry(-64, 0)}),
    "fraction": header_only({"a": entry(shape=(1.5,))}),
    "text": header_only({"a": entry(shape=("16",))}),
    "no entry": header_only({"a": 5}),
    "no type": header_only({"a": {"shape": [1], "data_offsets": [0, 4]}}),
    "unknown type": header_only({"a": entry(dtype="C64")}),
    "type that cannot be looked up": header_only({"a": entry(dtype=["F32"])}),
    "metadata only": header_only({"__metadata__": {"a": "b"}}),
    "not UTF-8": header_only(b'{"\xff": 1}'),
    "half a character": header_only(
        b'{"\\ud800": {"dtype":"F32","shape":[17],"data_offsets":[0,64]}}'
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_safetensors_that_lie_are_refused(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HEADERS[kind])
    refusal(path, size=30 * MEGABYTE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("extension", [".pth", ".safetensors"])
def test_weights_that_are_no_numbers_are_refused(good, tmp_path, value, extension):
    path = tmp_path / f"model{extension}"
    broken = {**good, "body.0.bias": torch.full_like(good["body.0.bias"], value)}
    save_file(broken, path) if extension == ".safetensors" else torch.save(broken, path)
    assert "body.0.bias' has values that are no numbers" in refusal(path)


def compact(numbers, features=1, inputs=3, outputs=3):
    """Return the weights of a Compact network with its body's layers at `numbers`."""
    made = {}
    for number in numbers:
        made[f"body.{number}.weight"] = torch.zeros(features, features, 3, 3)
        made[f"body.{number}.bias"] = torch.zeros(features)
    made["body.0.weight"] = torch.zeros(features, inputs, 3, 3)
    made["body.1.weight"] = torch.zeros(features)
    last = numbers[-1]
    made[f"body.{last}.weight"] = torch.zeros(outputs, features, 3, 3)
    made[f"body.{last}.bias"] = torch.zeros(outputs)
    return made


def swin(window):
    """Return a SwinIR of one layer whose table of positions asks for a window of that side."""
    spandrel = import_spandrel()
    import torch._dynamo  # which torch imports when it first tells some sizes without memory
    from spandrel.architectures.SwinIR import SwinIR

    small = SwinIR(
        img_size=8, depths=[1], num_heads=[1], embed_dim=4, window_size=2, mlp_ratio=1, upscale=2
    ).state_dict()
    table = next(name for name in small if name.endswith("relative_position_bias_table"))
    index = next(name for name in small if name.endswith("relative_position_index"))
    small[table] = torch.zeros((2 * window - 1) ** 2, 1)
    small[index] = torch.zeros(window * window, 4, dtype=torch.int64)
    assert spandrel
    return small


TOWERS = {
    "a layer of a high number": lambda: compact([0, 1, 4_000_000_000]),
    "a layer of a number in words": lambda: compact([0, 1, "99999999999999999999"]),
    "a thousand layers in between": lambda: compact([0, 1, 900_000]),
    "a wide window": lambda: swin(700),
    "a network that enlarges 100 times": lambda: compact([0, 1, 2, 3, 4], outputs=3 * 100**2),
}


@pytest.mark.filterwarnings("ignore:torch.meshgrid")  # spandrel's own
@pytest.mark.parametrize("kind", TOWERS)
def test_small_files_do_not_build_large_networks(path, kind):
    torch.save(TOWERS[kind](), path)
    text = refusal(path, size=100 * MEGABYTE)
    assert "nothing in it was run" not in text or "damaged" in text


@pytest.fixture
def meanwhile(good, path, monkeypatch):
    """Let something happen to a good file after it was looked at, before its numbers are read."""
    torch.save(good, path)
    made = reader._make

    def happens(what):
        monkeypatch.setattr(reader, "_make", lambda *arguments: (what(), made(*arguments))[1])

    return happens


@pytest.mark.parametrize("size", [1000, 10 * MEGABYTE], ids=["shrinks", "grows"])
def test_file_that_changes_meanwhile_is_refused(path, meanwhile, size):
    """A mapped file that shrinks would end the process."""
    meanwhile(lambda: os.truncate(path, size))
    assert "is being written by another program" in refusal(path, size=MEGABYTE)


def test_file_that_is_replaced_meanwhile_is_loaded_as_it_was(tmp_path, path, meanwhile):
    torch.save(network(scale=2), tmp_path / "other")
    meanwhile(lambda: (tmp_path / "other").replace(path))
    assert load_model(path).scale == 4
    meanwhile(lambda: None)
    assert load_model(path).scale == 2


@pytest.mark.parametrize("make", ["fifo", "folder", "link to nowhere", "unreadable"])
def test_what_is_no_file_is_refused_at_once(tmp_path, path, make):
    if make == "fifo":
        os.mkfifo(path)
    elif make == "folder":
        path.mkdir()
    elif make == "unreadable":
        path.symlink_to("/proc/self/mem")
    else:
        path.symlink_to(tmp_path / "gone")
    caught = []

    def load():
        try:
            load_model(path)
        except UnsupportedModelError as error:
            caught.append(str(error))

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(20)
    assert caught
    assert caught[0].startswith("model.pth ")
