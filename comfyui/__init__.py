"""The client of a ComfyUI server, and the choice of one from a snapshot."""
