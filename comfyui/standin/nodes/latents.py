"""Latents without a model: only empty ones, and their file form (safetensors)."""

import json
import struct
from dataclasses import dataclass

from comfyui.standin.nodes.node import NodeClass, NodeContext, NodeInputs, NodeResult, integer, text, value
from comfyui.standin.nodes.saving import listed

_CHANNELS = 4
_SCALE = 8
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Latent:
    """A zero tensor of this shape: batch, channels, height, width."""

    shape: tuple[int, int, int, int]


def _empty_latent(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    height, width = inputs["height"] // _SCALE, inputs["width"] // _SCALE
    return NodeResult((Latent((inputs["batch_size"], _CHANNELS, height, width)),))


def _save_latent(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    target = context.folders.save_target("output", inputs["filename_prefix"])
    filename = target.filename(0, "latent")
    batch, channels, height, width = latent.shape
    size_bytes = batch * channels * height * width * _FLOAT_BYTES
    header = json.dumps(
        {
            "__metadata__": {"prompt": json.dumps(context.graph)},
            "latent_tensor": {"dtype": "F32", "shape": latent.shape, "data_offsets": [0, size_bytes]},
        }
    ).encode()
    (target.folder / filename).write_bytes(struct.pack("<Q", len(header)) + header + bytes(size_bytes))
    return NodeResult(ui={"latents": [listed(filename, target.subfolder, "output")]})


NODE_CLASSES = (
    NodeClass(
        name="EmptyLatentImage",
        run=_empty_latent,
        required={
            "width": integer(512, 16, 16384, step=8),
            "height": integer(512, 16, 16384, step=8),
            "batch_size": integer(1, 1, 4096),
        },
        outputs=("LATENT",),
        display_name="Empty Latent Image",
        category="latent",
    ),
    NodeClass(
        name="SaveLatent",
        run=_save_latent,
        required={"samples": value("LATENT"), "filename_prefix": text("latents/ComfyUI")},
        hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        category="_for_testing",
        is_output=True,
    ),
)
