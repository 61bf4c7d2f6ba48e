"""`maos-ckpt config keys`: every key of the console by id, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli


def test_the_command_line_lists_the_keys_and_checks_them(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[console.keys]\n"overview.recover" = "R"\n')
    told = {one["id"]: one for one in cli.ok("config", "keys", "--json", "--config", str(file)).json["keys"]}
    assert (told["overview.recover"]["keys"], told["overview.recover"]["default"]) == ("R", "r")
    assert "Recover the selected checkpoint" in told["overview.recover"]["does"]
    file.write_text('[console.keys]\n"overview.recover" = "d"\n')
    refused = cli.run("config", "check", "--json", "--config", str(file))
    assert (refused.code, refused.error["data"]["other"]) == (2, "overview.diff")
