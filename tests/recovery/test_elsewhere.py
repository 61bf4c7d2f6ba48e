"""What is built elsewhere has its name only when it was proven, and leaves nothing where it was not."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import ConflictError, InterruptedByUserError
from maos_ckpt.model import Progress, RecoveryResult, Selection
from maos_ckpt.operations import recoveries
from tests.recovery.conftest import Site


@pytest.mark.parametrize("kind", ["sqlite", "maos"])
def test_it_has_no_name_before_it_was_read_back(site: Site, kind: str) -> None:
    site.transcript("one", "{}")
    site.save()
    to, phases = site.folder / "there" / "new", []

    def recover_to(stop: bool) -> RecoveryResult:
        def look(step: Progress) -> None:
            phases.append(step.phase)
            assert not to.exists()
            if stop and step.phase == "verify":
                raise InterruptedByUserError("stopped")

        return recoveries.recover_to(site.workspace, "latest", Selection(), f"{kind}:{to}", None, 10, look)

    with pytest.raises(InterruptedByUserError):
        recover_to(stop=True)
    assert list(to.parent.iterdir()) == []
    assert recover_to(stop=False).verified
    assert "verify" in phases
    assert [one.name for one in to.parent.iterdir()] == ["new"]


def test_what_comes_to_that_place_meanwhile_is_not_overwritten(site: Site) -> None:
    site.save()
    to = site.folder / "there" / "new.db"

    def intrude(step: Progress) -> None:
        if step.phase == "verify":
            to.write_text("mine")

    with pytest.raises(ConflictError, match="something at"):
        recoveries.recover_to(site.workspace, "latest", Selection(), f"sqlite:{to}", None, 10, intrude)
    assert [(one, one.read_text()) for one in to.parent.iterdir()] == [(to, "mine")]
