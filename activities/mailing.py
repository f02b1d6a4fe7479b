"""Mail through the operator's SMTP server."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

from contracts.failures import ComfychainError, FailureCategory

_TIMEOUT_SECONDS = 15.0
_MAX_SUBJECT = 200


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    sender: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    async def send(self, to: str, subject: str, text: str, *, message_id: str) -> None:
        """Raises ``ComfychainError``: lost if the server cannot be asked, server_refused if it declines."""
        message = EmailMessage()
        message["From"], message["To"] = self.sender, to
        # A name in it may hold line breaks, which would begin another header.
        message["Subject"] = " ".join(subject.split())[:_MAX_SUBJECT]
        message["Message-ID"] = f"<{message_id}@comfychain>"
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError) as error:
            raise ComfychainError(FailureCategory.LOST, f"{self.host} cannot be asked: {error}") from error
        except smtplib.SMTPException as error:
            raise ComfychainError(
                FailureCategory.SERVER_REFUSED, f"{self.host} does not take the mail: {error}"
            ) from error
        except OSError as error:
            raise ComfychainError(FailureCategory.LOST, f"{self.host} cannot be asked: {error}") from error

    def _send(self, message: EmailMessage) -> None:
        trusted = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=_TIMEOUT_SECONDS, context=trusted
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        with server:
            if self.security == "starttls":
                server.starttls(context=trusted)
            if self.user is not None:
                server.login(self.user, self.password or "")
            server.send_message(message)
