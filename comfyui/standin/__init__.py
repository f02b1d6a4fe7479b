"""An embedded stand-in for a ComfyUI server: the default for people without a GPU, and the tests' double.

It speaks the HTTP and WebSocket interface of ComfyUI 0.8.0 as recorded from a real server and executes a
small set of nodes with Pillow, keeping those habits of the original that a client must survive.
"""

from comfyui.standin.faults import Fault, Faults
from comfyui.standin.server import StandIn

__all__ = ["Fault", "Faults", "StandIn"]
