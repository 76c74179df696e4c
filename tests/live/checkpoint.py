"""A small checkpoint of random weights that ComfyUI takes for a Stable Diffusion 1.5.

`make` runs this file by ComfyUI's Python, with ComfyUI on its path.
"""

import os
import subprocess
import sys

PREFIXES = {
    "unet": "model.diffusion_model.",
    "clip": "cond_stage_model.transformer.text_model.",
    "vae": "first_stage_model.",
}


def make(path, python, comfyui):
    """Write the checkpoint, about 315 MB, with the modules of the ComfyUI in that folder."""
    environment = {**os.environ, "PYTHONPATH": comfyui, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([python, __file__, path], env=environment, check=True)


def parts():
    """Build the three parts, each as small as ComfyUI still recognises it."""
    from comfy import cli_args

    cli_args.args.cpu = True  # the next imports look for a GPU otherwise
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.sd1_clip import SDClipModel
    from comfy.taesd.taesd import TAESD

    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1, 1],
        channel_mult=[1, 1],
        transformer_depth=[1, 0],
        transformer_depth_output=[1, 1, 0, 0],
        transformer_depth_middle=-1,
        context_dim=768,
        num_heads=8,
        use_spatial_transformer=True,
        legacy=False,
        operations=comfy.ops.disable_weight_init,
    )
    return {"unet": unet, "clip": SDClipModel().transformer.text_model, "vae": TAESD()}


def weights(shape):
    """Random numbers with which no layer fades out or overflows."""
    import torch

    if len(shape) < 2:
        return torch.full(shape, 0.5)
    return torch.randn(shape) / shape[1:].numel() ** 0.5


def write(path):
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    found = {
        PREFIXES[name] + key: weights(value.shape).half()
        for name, module in parts().items()
        for key, value in module.state_dict().items()
    }
    save_file(found, path)


if __name__ == "__main__":
    write(sys.argv[1])
