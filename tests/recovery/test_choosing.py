"""Which records and which plan an operator means, and what is said where nobody could be meant."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import NotFoundError, PlanMovedError, UsageError
from maos_ckpt.model import Checkpoint, Selection
from tests.lab.writers import LiveMaos
from tests.recovery.conftest import Site


@pytest.mark.parametrize(
    ("selection", "nearest"),
    [
        (Selection(records=("agents/agents/a-0000000x",)), "agents/agents/a-0000000a"),
        (Selection(records=("agents/agents/b-0000000b", "agents/agents/zz*")), ""),
        (Selection(records=("agents/agnets/*",)), "agents/agents"),
        (Selection(components=("agent",)), "agents"),
    ],
)
def test_a_selection_that_names_nothing_is_refused_with_what_is_nearest(
    site: Site, selection: Selection, nearest: str
) -> None:
    site.save()
    site.run("UPDATE agents SET name = 'Eve'")
    for attempt in (site.plan, site.recover):
        with pytest.raises(NotFoundError) as caught:
            attempt(selection=selection)
        if nearest:
            assert nearest in caught.value.hint
            assert caught.value.data["nearest"] == [nearest]
    assert site.agents() == ["Eve", "Eve"]
    assert [one.trigger for one in _checkpoints(site)] == ["manual"]


def test_what_is_nearest_is_told_in_a_few_words_however_long_the_keys_are(site: Site) -> None:
    site.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)"
        " INSERT INTO agents (id, name) SELECT i || hex(randomblob(50000)), 'x' FROM n"
    )
    site.run("DELETE FROM agents WHERE id LIKE '%-%'")
    site.save()
    for selection in (Selection(records=("agents/agents/9",)), Selection(agents=("9" * 150,))):
        with pytest.raises(NotFoundError) as caught:
            site.plan(selection=selection)
        assert caught.value.hint
        assert len(caught.value.hint) < 1000


def _checkpoints(site: Site) -> list[Checkpoint]:
    with site.workspace.reading() as repository:
        return list(repository.checkpoints())


def test_a_record_that_is_as_it_was_or_only_live_is_named_well_enough(site: Site) -> None:
    site.save()
    site.run("INSERT INTO agents (id, name) VALUES ('c-0000000c', 'Cy')")
    for key in ("a-0000000a", "c-0000000c"):
        assert site.plan(selection=Selection(records=(f"agents/agents/{key}",))).summary.total == 0
    exact = Selection(records=("agents/agents/c-*",), exact=True)
    assert site.recover(selection=exact).plan.summary.removed == 1
    # What the recovery named is gone again after somebody else put it back: nothing to take back is no error.
    site.run("INSERT INTO agents (id, name) VALUES ('c-0000000c', 'Cy')")
    site.undo()
    assert site.agents() == ["Ada", "Bob", "Cy"]


def test_components_and_records_add_up(site: Site) -> None:
    site.run("INSERT INTO tasks (id, description) VALUES ('t1', 'dig')")
    site.save()
    site.run("DELETE FROM tasks", "UPDATE agents SET name = 'Eve'")
    done = site.recover(selection=Selection(components=("tasks",), records=("agents/agents/a-*",)))
    assert done.plan.summary.total == 2
    assert site.agents() == ["Ada", "Eve"]
    assert site.run("SELECT id FROM tasks") == [("t1",)]


def test_a_plan_goes_by_the_beginning_of_its_digest(site: Site) -> None:
    site.save()
    site.run("UPDATE agents SET name = 'Eve'")
    digest = site.plan().digest
    for wrong in ("", digest[:11], "latest", digest[:20] + "x", digest + "0"):
        with pytest.raises(UsageError, match="not a plan's digest"):
            site.recover(digest=wrong)
    with pytest.raises(UsageError):
        site.undo(digest="zz")
    with pytest.raises(PlanMovedError):
        site.recover(digest="0" * 12)
    assert site.recover(digest=digest[:12].upper()).verified
    assert site.agents() == ["Ada", "Bob"]


def test_a_plan_that_moved_tells_what_the_fresh_one_does(site: Site) -> None:
    site.save()
    site.run("UPDATE agents SET name = 'Eve' WHERE name = 'Bob'")
    shown = site.plan()
    site.run(
        "UPDATE agents SET name = 'Eva' WHERE name = 'Eve'",
        "DELETE FROM agents WHERE name = 'Ada'",
        "INSERT INTO tasks (id, description) VALUES ('t1', 'dig')",
    )
    with pytest.raises(PlanMovedError) as caught:
        site.recover(digest=shown.digest)
    data = caught.value.data
    assert data["changes"] == 3
    assert data["summary"] == {"added": 1, "modified": 1, "removed": 1}
    assert data["by_component"] == {
        "agents": {"added": 1, "modified": 1, "removed": 0},
        "tasks": {"added": 0, "modified": 0, "removed": 1},
    }
    assert "--yes" in caught.value.hint
    assert site.agents() == ["Eva"]
    digest = data["digest"]
    assert isinstance(digest, str)
    assert digest[:12] in caught.value.hint
    assert site.recover(digest=digest).verified


def test_without_a_digest_a_busy_maos_never_makes_a_plan_stale(site: Site) -> None:
    kept = site.save()
    with LiveMaos(site.layout.directory, site.layout.claude_home, rate_per_s=100, concurrency=4) as maos:
        for _ in range(4):
            assert site.recover(kept.id).verified
            assert site.undo().verified
        report = maos.stop()
    # Writes of agents that a whole recovery took away fail; that no plan was stale is what counts here.
    assert isinstance(report["writes"], int)
    assert report["writes"] > 20
