"""The console of maos-ckpt: a Textual application that knows an engine only as `maos_ckpt.client.EngineClient`."""
