"""Whether the API may be opened as the settings say."""

from datetime import UTC, datetime

from api.binding import check_may_listen, is_loopback
from config.settings import Settings
from db import tokens
from db.session import Database


async def check_access(settings: Settings, database: Database) -> None:
    """Raises ``ComfychainError`` (invalid_input) where the API would be open to everybody."""
    if is_loopback(settings.api_host, settings.api_public_url):
        return
    async with database.read() as session:
        has_tokens = await tokens.any_usable(session, datetime.now(UTC))
    check_may_listen(settings.api_host, settings.api_public_url, has_tokens=has_tokens)
