"""The words all of comfychain shares: names, messages and failure categories.

Nothing here imports anything of ours; only pydantic and the standard library.
"""
