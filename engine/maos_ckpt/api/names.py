"""What both sides of a remote call name alike."""

from __future__ import annotations

PREFIX = "/api/checkpoint"
MEDIA_TYPE = "application/msgpack"
#: Names a call, so that it is carried out once however often it is asked for.
KEY = "idempotency-key"
#: Names a run of an engine: in an answer the present one, in a request the one that its maker knows.
ENGINE = "maos-ckpt-engine"
#: Names a client among those of an engine.
CLIENT = "maos-ckpt-client"
