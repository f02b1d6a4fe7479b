"""Settings: from the environment and ``comfychain.toml``, checked at start."""
