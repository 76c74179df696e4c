"""Pictures and weights files at random: right ones with something wrong in them.

python -m tests.attacks.fuzz_files        # all cases, about half a minute
"""

import io
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save

from tests.attacks.opcodes import Program
from upscale_bridge.errors import InvalidInputError, UnsupportedModelError
from upscale_bridge.images.codecs import MOST_PIXELS, RESULT_FORMATS, decode, read_header
from upscale_bridge.local.loader import import_spandrel, load_model
from upscale_bridge.local.reader import read_weights

CASES = 24_000
"""Of each kind; the tests run a share of them."""

MOST_SECONDS = 1.0
"""For one case, of this thread's time."""

MOST_GROWTH = 300 << 20
"""Bytes by which the process may grow in all, decoders' and torch's own first use included."""

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, 0x7FFFFFFF, 0xFFFFFFFF)


def pictures():
    """Return small files of every format that is read, in their variants."""
    Image.init()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    plain = Image.linear_gradient("L").resize((24, 10))
    colour = Image.merge("RGB", (plain, plain.rotate(180), plain))
    variants = [
        *((colour, "png", {"exif": exif}), (colour.quantize(8), "png", {"transparency": 1})),
        *((plain, "png", {"dpi": (72, 72)}), (plain.convert("I;16"), "png", {})),
        *((colour, "png", {"save_all": True, "append_images": [plain.convert("RGB")]}),),
        *((colour, "jpeg", {"exif": exif}), (colour, "jpeg", {"progressive": True})),
        *((colour.convert("CMYK"), "jpeg", {}), (colour, "webp", {"exif": exif})),
        *((colour, "webp", {"lossless": True}), (colour.convert("RGBA"), "webp", {})),
        *((colour, "webp", {"save_all": True, "append_images": [colour.rotate(90)]}),),
        *((colour, "tiff", {"exif": exif}), (colour, "tiff", {"compression": "tiff_lzw"})),
        *((plain, "tiff", {"big_tiff": True}), (plain.convert("F"), "tiff", {})),
        *((colour, "tiff", {"save_all": True, "append_images": [plain]}), (colour, "bmp", {})),
        *((colour.quantize(16), "bmp", {}), (colour.quantize(8), "gif", {"comment": b"hello"})),
        *((plain, "gif", {"save_all": True, "append_images": [plain.rotate(180)]}),),
        *((colour, "ppm", {}), (plain.convert("1"), "ppm", {})),
    ]
    if "AVIF" in Image.SAVE:
        variants += [(colour, "avif", {"exif": exif}), (plain, "avif", {"quality": 30})]
    made = []
    for image, format, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        made.append(buffer.getvalue())
    return [*made, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", b""]


def weights():
    """Return small weights files of every format."""
    import_spandrel()
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    state = dict(Compact(num_feat=2, num_conv=1, upscale=2).state_dict())
    tensor = Program().tensor((2, 2), (2, 1), 0)
    trees = [
        Program().dictionary(params=Program().dictionary(w=tensor)),
        Program().dictionary(w=tensor, iter=Program().value(5)),
    ]
    made = [save(state), *(tree.archive(bytes(64)) for tree in trees)]
    made += [tree.legacy(bytes(64)) for tree in trees]
    # Torch's older format has addresses in it, which differ from run to run.
    for options in ({}, {"pickle_protocol": 5}):
        buffer = io.BytesIO()
        torch.save({"params_ema": state, "epoch": 3}, buffer, **options)
        made.append(buffer.getvalue())
    return made


def damage(random_, data, others):
    """Return `data` with one to four things wrong."""
    data = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 2, 4))):
        at = random_.randrange(len(data) + 1)
        near = random_.randrange(min(len(data), 200) + 1)
        way = random_.randrange(9)
        if way == 0 and data:
            del data[at:]
        elif way == 1 and at < len(data):
            data[at] ^= 1 << random_.randrange(8)
        elif way == 2 and near < len(data):
            data[near] = random_.randrange(256)
        elif way == 3:
            form = random_.choice(("<I", ">I", "<H", ">H", "<Q"))
            value = random_.choice(EXTREMES) & (1 << 8 * struct.calcsize(form)) - 1
            where = random_.choice((at, near))
            data[where : where + struct.calcsize(form)] = struct.pack(form, value)
        elif way == 4:
            end = at + random_.randrange(1, 40)
            data[at:at] = data[at:end] * random_.randrange(1, 5)
        elif way == 5:
            del data[near : near + random_.randrange(1, 20)]
        elif way == 6:
            other = random_.choice(others)
            data[: random_.choice((4, 8, 12, 33))] = other[: random_.choice((4, 8, 12, 33))]
        elif way == 7:
            data += random_.choice(others)[: random_.randrange(200)]
        else:
            data[at : at + 8] = random_.randbytes(random_.randrange(16))
    return bytes(data)


def try_picture(data, whole):
    """Read the header, and decode if `whole`; return what came of it."""
    name = "x" * (len(data) % 3) + "a.png"
    formats = {} if len(data) % 2 else {"formats": RESULT_FORMATS}
    try:
        header = read_header(data, name, **formats)
    except InvalidInputError as error:
        assert str(error).startswith(f"{name} "), error
        return "refused"
    assert header.width > 0
    assert header.height > 0
    if not whole or header.width * header.height > 1_000_000:
        return "told"
    try:
        decoded = decode(data, name, **formats, most_pixels=min(1_000_000, MOST_PIXELS))
    except InvalidInputError as error:
        assert str(error).startswith(f"{name} "), error
        return "damaged"
    assert tuple(decoded.pixels.shape[1::-1]) == (header.width, header.height)
    assert decoded.format == header.format
    return "decoded"


def try_weights(data, whole, path):
    """Read the weights, or load the model if `whole`; return what came of it."""
    path.write_bytes(data)
    try:
        if whole:
            load_model(path)
            return "loaded"
        found = read_weights(path, lambda tree: tree.get("params_ema", tree))
    except UnsupportedModelError as error:
        assert str(error).startswith(path.name), error
        return "refused"
    size = sum(tensor.numel() * tensor.element_size() for tensor in found.values())
    assert size <= 4 * len(data)
    return "read"


def run(kind, cases, seed=0):
    """Try `cases` files; return how often what came of them. Raises when anything else did."""
    random_ = random.Random(f"{kind} {seed}")
    bases = {"pictures": pictures, "weights": weights}[kind]()
    counts = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "model.pth")
        for number in range(cases):
            data = damage(random_, random_.choice(bases), bases)
            whole = number % (2 if kind == "pictures" else 6) == 0
            start = time.thread_time()
            try:
                if kind == "pictures":
                    counts[try_picture(data, whole)] += 1
                else:
                    suffix = random_.choice((".pth", ".safetensors", ".pt"))
                    counts[try_weights(data, whole, path.with_suffix(suffix))] += 1
            except Exception as error:
                raise AssertionError(f"case {number} of {kind}: {data!r}") from error
            seconds = time.thread_time() - start
            assert seconds < MOST_SECONDS, f"case {number} of {kind} took {seconds:.1f} s: {data!r}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_GROWTH, f"{kind} took {grown >> 20} MB"
    return counts


if __name__ == "__main__":
    for kind in ("pictures", "weights"):
        start = time.perf_counter()
        counts = run(kind, CASES)
        sys.stdout.write(f"{kind}: {dict(counts)} in {time.perf_counter() - start:.0f} s\n")
