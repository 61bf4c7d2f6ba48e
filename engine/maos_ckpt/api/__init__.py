"""The REST API: one ASGI application over an `EngineClient`, and the doors it is served behind."""
