"""The face of comfychain: its command line."""
