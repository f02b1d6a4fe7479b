"""Who may do what: tokens, cookies, reviewer links, and the rules that guard a browser."""

from api.access.actor import Actor, Link
from api.access.require import require
from contracts.scopes import Scope

__all__ = ["Actor", "Link", "Scope", "require"]
