"""``python -m comfychain.cli``: how ``up`` and ``demo`` start their own processes."""

from comfychain.cli.app import main

main()
