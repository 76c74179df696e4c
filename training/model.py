"""The Compact super-resolution network (SRVGGNetCompact of Real-ESRGAN) and its first weights."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SCALE = 4
FEATURES = 64
LAYERS = 6

Floats = NDArray[np.float32]


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
        base = functional.interpolate(low, scale_factor=SCALE, mode="nearest")
        return functional.pixel_shuffle(features.float(), SCALE) + base


def fit_interpolation(low: Floats, high: Floats) -> Floats:
    """Fit the best linear 3x3 upscaling filter to image pairs by least squares.

    low: (count, height, width), high: (count, SCALE * height, SCALE * width), any range.
    Returns (SCALE**2, 9): for every subpixel the weights of its 3x3 neighbourhood.
    """
    count, height, width = low.shape
    rows, columns = height - 2, width - 2
    taps = [low[:, y : y + rows, x : x + columns].ravel() for y in range(3) for x in range(3)]
    fine = high.reshape(count, height, SCALE, width, SCALE)[:, 1:-1, :, 1:-1]
    targets = fine.transpose(0, 1, 3, 2, 4).reshape(-1, SCALE**2)
    solution = np.linalg.lstsq(np.stack(taps, -1), targets, rcond=None)[0]
    return solution.T.astype(np.float32)


@torch.no_grad()
def start_as_interpolation(model: Compact, weights: Floats) -> None:
    """Initialise the model so that it computes the given linear filter, nearly.

    The first three features carry RGB unchanged through all layers and the last convolution
    applies the filter to them; the other features start with He-initialised weights and a
    small contribution. Training therefore starts close to interpolation.
    """
    *hidden, last = [layer for layer in model.body if isinstance(layer, nn.Conv2d)]
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, a=0.25)
        nn.init.zeros_(layer.bias)
        layer.weight[:3] = 0
        layer.weight[range(3), range(3), 1, 1] = 1
    for layer in model.body:
        if isinstance(layer, nn.PReLU):
            layer.weight[:3] = 1
    nn.init.normal_(last.weight, std=0.002)
    nn.init.zeros_(last.bias)
    last.weight[:, :3] = 0
    filters = torch.from_numpy(weights).reshape(SCALE**2, 3, 3).clone()
    filters[:, 1, 1] -= 1  # the nearest-neighbour base already holds this part
    for colour in range(3):
        last.weight[colour * SCALE**2 : (colour + 1) * SCALE**2, colour] = filters
