"""Loaders of models: they list the files in ``models/``, so that a graph can name one that is missing.

Nothing here can load a model; running one of them is an error that says so.
"""

from collections.abc import Callable

from comfyui.standin.folders import Folders
from comfyui.standin.nodes.node import InputSpec, NodeClass, NodeContext, NodeInputs, NodeResult, choice


def _cannot_load(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    raise RuntimeError("the stand-in runs no models: give this graph to a real ComfyUI server")


def _files_of(kind: str) -> Callable[[Folders], list[str]]:
    return lambda folders: folders.models(kind)


def _loader(
    name: str,
    file_input: str,
    kind: str,
    outputs: tuple[str, ...],
    display_name: str,
    more: dict[str, InputSpec] | None = None,
) -> NodeClass:
    return NodeClass(
        name=name,
        run=_cannot_load,
        required={file_input: ([], {}), **(more or {})},
        choices={file_input: _files_of(kind)},
        outputs=outputs,
        display_name=display_name,
        category="loaders",
    )


NODE_CLASSES = (
    _loader(
        "CheckpointLoaderSimple", "ckpt_name", "checkpoints", ("MODEL", "CLIP", "VAE"), "Load Checkpoint"
    ),
    _loader("VAELoader", "vae_name", "vae", ("VAE",), "Load VAE"),
    _loader(
        "UNETLoader",
        "unet_name",
        "diffusion_models",
        ("MODEL",),
        "Load Diffusion Model",
        {"weight_dtype": choice("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")},
    ),
)
