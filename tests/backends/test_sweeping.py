"""Uploads that a crashed process left unfinished are cleared away by a writer, once a day, and by nobody else."""

from __future__ import annotations

import contextlib
from pathlib import Path

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.backends.s3 import S3Backend
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.repository.connect import RemoteSettings, open_remote
from maos_ckpt.seams import SYSTEM
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock, seams_with

DAY_S = 86_400


def test_a_writer_clears_away_unfinished_uploads_once_a_day(moto: Server, tmp_path: Path) -> None:
    settings = RemoteSettings(moto.settings("swept"), CacheSettings(0, 0))
    (tmp_path / "cache").mkdir()
    with contextlib.closing(S3Backend(settings.s3, SYSTEM)) as store:

        def begin() -> None:
            store.client.call("create_multipart_upload", Key=store.key("packs/00/00"))

        def unfinished() -> int:
            return len(store.client.call("list_multipart_uploads", Prefix="swept/").get("Uploads", []))

        def write() -> None:
            remote = open_remote(tmp_path, "0" * 32, settings, PlainSealer(), seams_with(clock))
            with contextlib.closing(remote):
                # What the store can do is known already: trying it out takes seconds, and is no part of this.
                remote.memory.set_fact("create mode", "1")
                remote.make_writable()

        begin()
        (upload,) = store.client.call("list_multipart_uploads", Prefix="swept/")["Uploads"]
        # moto says the same time of every upload.
        begun_s = upload["Initiated"].timestamp()
        clock = VirtualClock(wall_s=begun_s + DAY_S / 2)
        write()
        assert unfinished() == 1, "it is not a day old"
        clock.wall_s = begun_s + 2 * DAY_S
        write()
        assert unfinished() == 0
        begin()
        clock.wall_s += DAY_S / 2
        write()
        assert unfinished() == 1, "a day has not gone by since the last time"
        clock.wall_s += DAY_S
        write()
        assert unfinished() == 0
