"""Which operations the audit log tells of, and what `verify` says where the log was changed."""

from __future__ import annotations

import pytest

from maos_ckpt.audit.entries import Entry, decode_anchor
from maos_ckpt.errors import PlanMovedError
from maos_ckpt.model import Severity, VerifyLevel, VerifyResult
from maos_ckpt.operations import audit, checkpoints, keeping
from maos_ckpt.recovery.apply import _Recovery
from tests.recovery.conftest import Site, site

__all__ = ["site"]


def entries(site: Site) -> list[Entry]:
    return audit.recent(site.workspace, 100)[::-1]


def verify(site: Site, *, repair: bool = False) -> VerifyResult:
    return checkpoints.verify(site.workspace, (), VerifyLevel.STANDARD, lambda _: None, repair=repair)


def rename(site: Site, name: str) -> None:
    site.run(f"UPDATE agents SET name = '{name}' WHERE id = 'a-0000000a'")


def test_every_recovery_undo_deletion_and_prune_is_told_with_its_plan_and_how_it_ended(site: Site) -> None:
    first = site.save()
    rename(site, "Mad")
    done = site.recover(first.id)
    rename(site, "Mad again")
    with pytest.raises(PlanMovedError):
        site.recover(first.id, digest="0" * 64)
    site.undo()
    site.undo(site.undo_plan().digest)
    rename(site, "Ada")
    gone, other = site.save(), site.save()
    checkpoints.delete(site.workspace, other.id)
    site.save()
    removed = keeping.prune(site.workspace, 1, False, lambda _: None).removed
    told = [(one.verb, one.result) for one in entries(site)]
    assert told == [
        ("new chain", "done"),
        ("restore", "begun"),
        ("restore", "done"),
        ("restore", "begun"),
        ("restore", "failed"),
        ("undo", "begun"),
        ("undo", "done"),
        ("undo", "begun"),
        ("undo", "done"),
        ("delete", "done"),
        ("prune", "done"),
    ]
    _, begun, restore, _, refused, *_, delete, prune = entries(site)
    assert (begun.digest, begun.reason, begun.about) == ("", "test", [first.id])
    assert (restore.digest, restore.reason) == (done.plan.digest, "test")
    assert restore.about == [first.id, done.safety_checkpoint]
    assert refused.detail.startswith("plan_moved: ")
    assert delete.about == [other.id]
    assert gone.id in removed
    assert prune.about == list(removed)
    assert verify(site).findings == ()


def test_a_recovery_that_finds_nothing_to_do_says_so(site: Site) -> None:
    site.save()
    assert not site.recover().applied
    assert entries(site)[-1].detail == "there was nothing to do"


def test_a_recovery_that_a_crash_interrupted_is_told_of_when_it_is_settled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.save()
    rename(site, "Mad")

    class Killed(BaseException):
        """The process is gone."""

    def killed(*_: object, **__: object) -> None:
        # A process that is gone writes nothing, either.
        patched.setattr("maos_ckpt.audit.log.AuditLog.record", lambda *_: None)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(_Recovery, "_follow", killed)
        with pytest.raises(Killed):
            site.recover(first.id)
    assert [one.result for one in entries(site)] == ["done", "begun"]
    site.save()
    (*_, settled) = entries(site)
    assert (settled.verb, settled.detail) == ("restore", "interrupted, then finished")
    assert (settled.reason, settled.about[0]) == ("test", first.id)


def test_a_changed_log_fails_verify_until_a_chain_names_it_and_stops_no_operation(site: Site) -> None:
    first = site.save()
    rename(site, "Mad")
    site.recover(first.id)
    assert verify(site).ok
    log = site.workspace.audit
    path = log.path(log.segments()[0])
    path.write_bytes(path.read_bytes().replace(b'"result":"done","detail":"1 ', b'"result":"done","detail":"9 '))
    result = verify(site)
    assert not result.ok
    assert [(one.kind, one.severity) for one in result.findings] == [("audit", Severity.ERROR)]
    assert site.undo().applied
    result = verify(site)
    assert result.ok
    assert ["does not end with entry 3" in one.message for one in result.findings] == [True]
    # In the middle, where the next entry does not look: it stays an error until somebody has it named.
    path.write_bytes(path.read_bytes().replace(b'"verb":"restore"', b'"verb":"drilled"'))
    assert site.undo().applied
    assert not verify(site).ok
    assert verify(site, repair=True).ok
    assert verify(site).ok
    assert len(verify(site).findings) == 2


def test_checkpoints_name_the_log_so_that_one_removed_whole_is_missed(site: Site) -> None:
    assert decode_anchor(site.save().audit) is None
    checkpoints.delete(site.workspace, site.save().id)
    anchor = decode_anchor(site.save().audit)
    assert anchor is not None
    assert anchor.seq == 2
    for path in site.workspace.audit.directory.iterdir():
        path.unlink()
    result = verify(site)
    assert (result.ok, "is not here" in result.findings[0].message) == (False, True)
    rename(site, "Mad")
    assert site.recover().applied
    assert not verify(site).ok, "a log that began anew without a word does not stand for the one that was removed"
    assert verify(site, repair=True).ok
    assert verify(site).ok
