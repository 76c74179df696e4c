"""The Compact super-resolution network (SRVGGNetCompact of Real-ESRGAN) and its first weights."""

import torch
from pool import SCALE
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 64
LAYERS = 16
REACH = 2
"""Low-resolution pixels that the first weights see on either side: an interpolation of 5x5."""


class Compact(nn.Module):
    """Plain 3x3 convolutions with PReLU at low resolution, then one pixel shuffle.

    Takes and returns float RGB in 0..1, shape (batch, 3, height, width) -> (batch, 3,
    SCALE * height, SCALE * width). The network adds its output to nearest-neighbour upscaling.
    State dict keys are those of SRVGGNetCompact: body.N.weight, body.N.bias.
    """

    def __init__(self, features: int = FEATURES, layers: int = LAYERS) -> None:
        super().__init__()
        body: list[nn.Module] = []
        channels = 3
        for _ in range(layers + 1):
            body += [nn.Conv2d(channels, features, 3, 1, 1), nn.PReLU(features)]
            channels = features
        body.append(nn.Conv2d(features, 3 * SCALE**2, 3, 1, 1))
        self.body = nn.ModuleList(body)

    def forward(self, low: Tensor) -> Tensor:
        """Upscale a batch; the last addition is done in float32 even under autocast."""
        features = low
        for layer in self.body:
            features = layer(features)
        base = functional.interpolate(low.contiguous(), scale_factor=SCALE, mode="nearest")
        return functional.pixel_shuffle(features.float(), SCALE) + base


def fit_interpolation(low: Tensor, high: Tensor) -> Tensor:
    """Fit the best linear upscaling filter of 5x5 pixels to image pairs by least squares.

    low: (count, height, width), high: (count, SCALE * height, SCALE * width), any range.
    Returns (SCALE**2, 5, 5): for every subpixel the weights of its neighbourhood.
    """
    size = 2 * REACH + 1
    taps = functional.unfold(low[:, None], size).transpose(1, 2).flatten(0, 1)
    targets = functional.pixel_unshuffle(high[:, None], SCALE)
    targets = targets[..., REACH:-REACH, REACH:-REACH].permute(0, 2, 3, 1).flatten(0, 2)
    solution = torch.linalg.lstsq(taps.double(), targets.double()).solution
    return solution.T.reshape(SCALE**2, size, size).float()


@torch.no_grad()
def start_as_interpolation(model: Compact, filters: Tensor) -> None:
    """Initialise the model so that it computes the given linear filter, nearly.

    The first fifteen features carry RGB unchanged through all layers: as it is, and moved by one
    pixel along either diagonal, so that the 3x3 of the last convolution reaches 5x5. The other
    features begin as random ones, half of each kept from layer to layer as in a residual
    network. Training therefore starts close to interpolation, and a linear path stays open.
    """
    first, *inner, last = [layer for layer in model.body if isinstance(layer, nn.Conv2d)]
    moves = [(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    carried = 3 * len(moves)
    for layer in (first, *inner):
        nn.init.kaiming_normal_(layer.weight, a=0.25)
        nn.init.zeros_(layer.bias)
        layer.weight[:carried] = 0
    for layer in inner:
        layer.weight.mul_(0.5**0.5)
        centre = layer.weight[:, :, 1, 1]
        centre += torch.eye(len(centre)) * 0.5**0.5
        centre[:carried] = torch.eye(len(centre))[:carried]
    for layer in model.body:
        if isinstance(layer, nn.PReLU):
            layer.weight[:carried] = 1
    nn.init.normal_(last.weight, std=0.0005)
    nn.init.zeros_(last.bias)
    last.weight[:, :carried] = 0
    filters = filters.clone()
    filters[:, REACH, REACH] -= 1  # the nearest-neighbour base already holds this part
    left = torch.ones_like(filters)
    for index, (y, x) in enumerate(moves):
        # What a moved copy reaches, less what an earlier one has taken.
        window = (slice(None), slice(1 + y, 4 + y), slice(1 + x, 4 + x))
        taken = (filters * left)[window]
        left[window] = 0
        for colour in range(3):
            feature = 3 * index + colour
            first.weight[feature, colour, 1 + y, 1 + x] = 1
            last.weight[colour * SCALE**2 : (colour + 1) * SCALE**2, feature] = taken
