"""A plan as it travels: compressed JSON, so that 5,000 steps stay under 256 kB of history."""

import base64
import zlib

from contracts.chain import Plan
from contracts.failures import ComfychainError, FailureCategory

MAX_STEPS = 5_000
MAX_PACKED_BYTES = 256_000
#: A packed plan of MAX_STEPS unpacks to well under this; a forged one must not fill the memory.
MAX_PLAIN_BYTES = 16_000_000


def pack(plan: Plan) -> str:
    """Raises ``ComfychainError`` (invalid_input) if the plan is larger than a history should carry."""
    if len(plan.steps) > MAX_STEPS:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the chain has {len(plan.steps)} steps; at most {MAX_STEPS} are possible",
            hint="split it into several chains",
        )
    packed = base64.b64encode(zlib.compress(plan.model_dump_json(exclude_defaults=True).encode(), 9)).decode()
    if len(packed) > MAX_PACKED_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the plan takes {len(packed)} bytes compressed; at most {MAX_PACKED_BYTES} are possible",
            hint="use fewer dependencies or shorter step ids",
        )
    return packed


def unpack(packed: str) -> Plan:
    inflate = zlib.decompressobj()
    plain = inflate.decompress(base64.b64decode(packed), MAX_PLAIN_BYTES)
    return Plan.model_validate_json(plain)
