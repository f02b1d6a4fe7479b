"""All node classes that the stand-in can run."""

from comfyui.standin.nodes import audio, images, latents, loaders, masks, saving, text, video
from comfyui.standin.nodes.node import NodeClass

Catalog = dict[str, NodeClass]


def full_catalog() -> Catalog:
    """Every node class by name."""
    modules = (images, saving, masks, latents, text, video, audio, loaders)
    return {node.name: node for module in modules for node in module.NODE_CLASSES}
