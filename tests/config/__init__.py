"""Settings: where they come from, and how wrong ones are named."""
