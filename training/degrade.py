"""Turn scenes into training pairs, a chunk at a time, on the device that trains.

A chunk is made of sixteenths, each with its own history:

    8  only reduced, in one step or two, mostly with the antialiased bicubic kernel
    5  then blurred, noisy and JPEG-compressed, each with a chance of its own
    1  JPEG-compressed at twice the size, reduced, perhaps compressed again
    1  JPEG-compressed twice, the second time with shifted blocks
    1  encoded by Pillow (the twins of draw.py): WebP and all subsamplings of JPEG

Colours are permuted before anything is encoded: chroma artefacts must lie where chroma is.
"""

import math

import jpeg
import torch
from loss import luma_chroma
from pool import SCALE, SIDE
from resize import KERNELS, apply, axis_matrices, blur_matrices, reduce_by
from torch import Tensor
from torch.nn import functional

PARTS = 16
"""A chunk is a multiple of it."""
WAYS: dict[tuple[tuple[str, float], ...], float] = {
    (("bicubic", 4),): 0.46,
    (("lanczos", 4),): 0.10,
    (("box", 4),): 0.10,
    (("bilinear", 4),): 0.06,
    (("bicubic", 2), ("bicubic", 2)): 0.07,
    (("lanczos", 2), ("bicubic", 2)): 0.07,
    (("box", 2), ("bicubic", 2)): 0.07,
    (("bicubic", 1.6), ("bicubic", 2.5)): 0.04,
    (("lanczos", 2.5), ("lanczos", 1.6)): 0.03,
}
"""How pictures are reduced by SCALE: steps of (kernel, factor), and the share of each."""


class Stock:
    """The scenes that are there so far, and their twins, on the device."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.device = device
        self.count = 0
        low = SIDE // SCALE
        self.scenes = torch.empty((capacity, 3, SIDE, SIDE), dtype=torch.uint8, device=device)
        self.twins = torch.empty((capacity, 3, low, low), dtype=torch.uint8, device=device)

    def add(self, scenes: Tensor, twins: Tensor) -> None:
        """Add scenes and twins, both (count, height, width, 3)."""
        end = self.count + len(scenes)
        for part, place in ((scenes, self.scenes), (twins, self.twins)):
            if self.device.type == "cuda":  # pinned, a copy waits for nothing
                part = part.pin_memory().to(self.device, non_blocking=True)
            place[self.count : end] = part.permute(0, 3, 1, 2)
        self.count = end


class Dice:
    """Random numbers for the pictures of a chunk, each (count,) and on the device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.chooser = torch.Generator().manual_seed(seed)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers between two bounds."""
        drawn = torch.rand(count, generator=self.generator, device=self.device)
        return low + drawn * (high - low)

    def log_uniform(self, count: int, low: float, high: float) -> Tensor:
        """Numbers whose logarithms are uniform between two bounds."""
        return self.uniform(count, math.log(low), math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, count: int, share: float) -> Tensor:
        """True for a share of the pictures."""
        return self.uniform(count) < share

    def whole(self, count: int, bound: int) -> Tensor:
        """Whole numbers below a bound."""
        return torch.randint(bound, (count,), generator=self.generator, device=self.device)

    def below(self, bound: int) -> int:
        """One whole number for all pictures, drawn on the CPU so that no device waits."""
        return int(torch.randint(bound, (), generator=self.chooser))

    def kernel(self, *kernels: str) -> str:
        """One kernel for all pictures."""
        return kernels[self.below(len(kernels))]


def reducers(size: int, device: torch.device) -> Tensor:
    """Return the matrices of all WAYS, which reduce `size` pixels: (ways, size / SCALE, size)."""
    found = []
    for way in WAYS:
        matrix = torch.eye(size)
        for kernel, factor in way:
            length = len(matrix)
            target = round(length / factor)
            whole = torch.tensor([float(length)])
            matrix = axis_matrices(whole * 0, whole, length, target, kernel)[0] @ matrix
        found.append(matrix)
    return torch.stack(found).to(device)


def levels(pictures: Tensor) -> Tensor:
    """Round to whole levels 0..255."""
    return pictures.round().clamp(0, 255)


def cut(dice: Dice, stock: Stock, count: int, side: int) -> Tensor:
    """Cut windows of many sizes out of scenes, bring them to side x side and perhaps blur them.

    Half of the patches get a blur that shows at low resolution, too: many photographs are soft,
    above all those that are enlarged by 2, and a model that never saw one sharpens them too much.
    """
    largest = SIDE / side
    scale = torch.where(dice.chance(count, 0.35), 1.0, dice.uniform(count, 1.0, largest))
    length = scale * side
    blur = torch.where(dice.chance(count, 0.5), dice.log_uniform(count, 0.3, 3.5), 0.0)
    kernel = dice.kernel("bicubic", "lanczos", "box")
    soften = blur_matrices(blur, side)
    axes = []
    for _ in range(2):
        start = dice.uniform(count) * (SIDE - length)
        start = torch.where(scale == 1, start.floor(), start)
        matrix = soften @ axis_matrices(start, length, SIDE, side, kernel)
        axes.append(torch.where(dice.chance(count, 0.5)[:, None, None], matrix.flip(1), matrix))
    # Half precision is plenty for a scene, whose every level is exact in it, and twice as quick.
    number = torch.float16 if stock.device.type == "cuda" else torch.float32
    scenes = stock.scenes[dice.whole(count, stock.count)].to(number)
    patches = apply(axes[0].to(number), axes[1].to(number), scenes).float()
    return torch.where(dice.chance(count, 0.5)[:, None, None, None], patches.mT, patches)


def tone(dice: Dice, patches: Tensor) -> Tensor:
    """Permute the colours; vary saturation, gamma, contrast and brightness. Levels in and out."""
    count = len(patches)

    def each(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1)

    order = dice.normal(count, 3).argsort(1)
    patches = patches[torch.arange(count, device=patches.device)[:, None], order]
    grey = luma_chroma(patches)[0]
    colour = torch.where(dice.chance(count, 0.15), 0.0, dice.uniform(count, 0.4, 1.4))
    patches = ((grey + (patches - grey) * each(colour)) / 255).clamp(0, 1)
    patches = patches ** each((dice.normal(count) * 0.25).exp())
    patches = (patches - 0.5) * each(dice.uniform(count, 0.6, 1.1)) + 0.5
    patches = patches + each(dice.normal(count) * 0.06)
    light = torch.where(dice.chance(count, 0.1), dice.uniform(count, 0.12, 0.5), 1.0)
    return levels(patches * each(light) * 255)


def shrink(dice: Dice, ways: Tensor, bounds: Tensor, high: Tensor) -> Tensor:
    """Reduce patches by SCALE, each in one of the WAYS, whose shares add up to `bounds`."""
    matrices = ways[torch.bucketize(dice.uniform(len(high)), bounds)]
    return levels(apply(matrices, matrices, high))


def encode(dice: Dice, pictures: Tensor, share: float = 1.0) -> Tensor:
    """JPEG-compress a share of the pictures, mostly with subsampled chroma."""
    count = len(pictures)
    quality = dice.uniform(count, 30, 96).floor()
    coded = jpeg.compress(pictures, quality, dice.chance(count, 0.75))
    return torch.where(dice.chance(count, share)[:, None, None, None], coded, pictures)


def shake(dice: Dice, low: Tensor) -> Tensor:
    """Blur some pictures mildly and add mild noise to some."""
    count = len(low)
    blur = torch.where(dice.chance(count, 0.2), dice.uniform(count, 0.2, 0.8), 0.0)
    matrices = blur_matrices(blur, low.shape[-1])
    noise = torch.where(dice.chance(count, 0.2), dice.uniform(count, 0.5, 6.0), 0.0)
    low = apply(matrices, matrices, low) + dice.normal(*low.shape) * noise[:, None, None, None]
    return levels(low)


def encode_shifted(dice: Dice, low: Tensor) -> Tensor:
    """JPEG-compress with blocks that do not begin at the corner."""
    side = low.shape[-1]
    left, top = (dice.below(jpeg.MCU) for _ in range(2))
    room = (left, jpeg.MCU - left, top, jpeg.MCU - top)
    coded = encode(dice, functional.pad(low, room, mode="replicate"))
    return coded[..., top : top + side, left : left + side]


def twins(dice: Dice, stock: Stock, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Cut patches and their twins, low ones side x side, as they are."""
    chosen = dice.whole(count, stock.count)
    places = [dice.whole(count, SIDE // SCALE - side + 1) for _ in range(2)]
    found = []
    for pictures, scale in ((stock.twins, 1), (stock.scenes, SCALE)):
        along = torch.arange(side * scale, device=stock.device)
        rows, columns = (place[:, None] * scale + along for place in places)
        cut_out = pictures[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        found.append(cut_out.permute(0, 3, 1, 2).float())
    return found[0], found[1]


class PairMaker:
    """Makes chunks of training pairs from a stock of scenes."""

    def __init__(self, stock: Stock, side: int) -> None:
        """`side`: width and height of low-resolution patches, a multiple of jpeg.MCU."""
        self.stock = stock
        self.side = side
        self.ways = reducers(side * SCALE, stock.device)
        self.bounds = torch.tensor(list(WAYS.values())).cumsum(0)[:-1].to(stock.device)

    @torch.no_grad()
    def make(self, seed: int, count: int) -> tuple[Tensor, Tensor]:
        """Return (low, high), levels 0..255, float32 (count, 3, ...), in mixed order."""
        dice = Dice(seed, self.stock.device)
        part = count // PARTS
        high = tone(dice, cut(dice, self.stock, count - part, self.side * SCALE))
        early = high[-part:]
        low = shrink(dice, self.ways, self.bounds, high[:-part])
        clean, spoilt = low[: 8 * part], shake(dice, low[8 * part :])
        spoilt, twice = spoilt[: 5 * part], spoilt[5 * part :]
        halves = levels(reduce_by(early, 2, dice.kernel(*KERNELS)))
        early = levels(reduce_by(encode(dice, halves), 2, dice.kernel(*KERNELS)))
        twin_low, twin_high = twins(dice, self.stock, part, self.side)
        low = torch.cat(
            [
                clean,
                encode(dice, spoilt, 0.9),
                encode(dice, encode_shifted(dice, twice)),
                encode(dice, early, 0.5),
                twin_low,
            ]
        )
        order = dice.uniform(count).argsort()
        return low[order], torch.cat([high, twin_high])[order]
