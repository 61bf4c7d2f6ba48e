"""The webhook: an event with POST, signed as Standard Webhooks says (https://www.standardwebhooks.com).

`webhook-id` is the event's id, by which a receiver drops what it has had; `webhook-timestamp` is when this attempt was
made, in seconds, so that a recorded request cannot be played back later; `webhook-signature` is `v1,` and the base64 of
HMAC-SHA-256 over `ID.TIMESTAMP.BODY`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from maos_ckpt import __version__
from maos_ckpt.codec.secret import read_secret
from maos_ckpt.config.alerting import Hooks
from maos_ckpt.errors import CkptError
from maos_ckpt.hooks.http import request
from maos_ckpt.hooks.message import event_id, message
from maos_ckpt.journal import Entry
from maos_ckpt.seams import Clock

#: One attempt takes no longer.
ATTEMPT_S = 10.0
_PREFIX = b"whsec_"


def signature(secret: bytes, name: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. A secret that begins with `whsec_` is base64 behind it, any other is taken as
    it is."""
    key = secret
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.strip()[len(_PREFIX) :], validate=True)
        except binascii.Error:
            key = secret
    signed = hmac.new(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode("ascii")


def send(hooks: Hooks, source: str, clock: Clock, entry: Entry) -> str:
    """One attempt; what went wrong, or "". Nothing is sent unsigned that should be signed."""
    body, name, timestamp = message(entry, source), event_id(entry), clock.now_ms() // 1000
    headers = {
        "content-type": "application/json",
        "user-agent": f"maos-ckpt/{__version__}",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
    }
    if hooks.webhook_secret:
        try:
            # Looked up each time, so that a mended reference needs no restart.
            secret = read_secret(hooks.webhook_secret).reveal()
        except CkptError:
            return "hooks.webhook_secret leads to no secret, and nothing is sent unsigned"
        headers["webhook-signature"] = signature(secret, name, timestamp, body)
    return request("POST", hooks.webhook_url, body, headers, ATTEMPT_S)
