"""Nodes of masks: tuples of L images, where white is the masked part."""

from PIL import Image, PngImagePlugin

from comfyui.standin.nodes.node import NodeClass, NodeContext, NodeInputs, NodeResult, integer, number, value
from comfyui.standin.nodes.saving import save_png

_MODULE = "comfy_extras.nodes_mask"


def _solid_mask(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    shade = int(inputs["value"] * 255)
    return NodeResult(((Image.new("L", (inputs["width"], inputs["height"]), shade),),))


def _mask_preview(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames = tuple(mask.convert("RGB") for mask in inputs["mask"])
    prefix = f"ComfyUI_temp_{context.temp_suffix}"
    files = save_png(context, frames, "temp", prefix, compress_level=1, metadata=PngImagePlugin.PngInfo())
    return NodeResult(ui={"images": files, "animated": [False]})


def _mask_to_image(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((tuple(mask.convert("RGB") for mask in inputs["mask"]),))


NODE_CLASSES = (
    NodeClass(
        name="SolidMask",
        run=_solid_mask,
        required={
            "value": number(1.0, 0.0, 1.0, step=0.01),
            "width": integer(512, 1, 16384, step=1),
            "height": integer(512, 1, 16384, step=1),
        },
        outputs=("MASK",),
        category="mask",
        python_module=_MODULE,
    ),
    NodeClass(
        name="MaskPreview",
        run=_mask_preview,
        required={"mask": value("MASK")},
        hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        display_name="Preview Mask",
        category="mask",
        description="Saves the input images to your ComfyUI output directory.",
        python_module=_MODULE,
        is_output=True,
    ),
    NodeClass(
        name="MaskToImage",
        run=_mask_to_image,
        required={"mask": value("MASK")},
        outputs=("IMAGE",),
        display_name="Convert Mask to Image",
        category="mask",
        python_module=_MODULE,
    ),
)
