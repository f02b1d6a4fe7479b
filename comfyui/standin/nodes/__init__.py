"""The node set of the stand-in, under ComfyUI's own names."""
