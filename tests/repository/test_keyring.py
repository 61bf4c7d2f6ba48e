"""Key slots in a repository: added, rotated, removed, and never the last one."""

from __future__ import annotations

import pytest

from maos_ckpt.codec.secret import Secret, passphrase
from maos_ckpt.codec.slots import SLOT_BYTES_MAX, SLOTS_MAX, ScryptCost, new_master
from maos_ckpt.errors import ConflictError, IntegrityError, NotFoundError, PermissionRefusedError
from maos_ckpt.repository.keyring import ENCRYPTION, add_slot, keyring, open_sealer, remove_slot, unlock
from maos_ckpt.seams import SYSTEM
from tests.backends.memory import MemoryBackend

REPOSITORY = "00112233445566778899aabbccddeeff"
CHEAP = ScryptCost(1 << 14)
WORDS = passphrase("correct horse battery")
RANDOM = Secret("key_file", bytes(range(7, 71)))


@pytest.fixture
def master() -> Secret:
    return new_master(SYSTEM)


def test_a_new_secret_opens_and_the_old_one_no_longer_does(master: Secret) -> None:
    backend = MemoryBackend()
    backend.objects["manifests/000000000001"] = b"data"
    old = add_slot(backend, master, WORDS, REPOSITORY, SYSTEM, label="office", cost=CHEAP)
    new = add_slot(backend, master, passphrase("another long one"), REPOSITORY, SYSTEM, label="home", cost=CHEAP)
    remove_slot(backend, old.id, REPOSITORY)
    assert unlock(backend, REPOSITORY, passphrase("another long one"))[0].reveal() == master.reveal()
    with pytest.raises(PermissionRefusedError):
        unlock(backend, REPOSITORY, WORDS)
    assert (keyring(backend, REPOSITORY).slots, new.label) == ([new], "home")
    assert backend.objects["manifests/000000000001"] == b"data"


def test_the_last_slot_that_can_be_read_stays(master: Secret) -> None:
    backend = MemoryBackend()
    one = add_slot(backend, master, WORDS, REPOSITORY, SYSTEM, cost=CHEAP)
    with pytest.raises(ConflictError, match="last key slot"):
        remove_slot(backend, one.id, REPOSITORY)
    other = add_slot(backend, master, RANDOM, REPOSITORY, SYSTEM)
    backend.objects[f"keys/{other.id}.json"] = b"damaged"
    with pytest.raises(ConflictError, match="last key slot"):
        remove_slot(backend, one.id, REPOSITORY)
    assert list(keyring(backend, REPOSITORY).damaged) == [f"keys/{other.id}.json"]
    remove_slot(backend, other.id, REPOSITORY)
    with pytest.raises(NotFoundError):
        remove_slot(backend, other.id, REPOSITORY)
    assert unlock(backend, REPOSITORY, WORDS)[1] == one


def test_the_header_and_the_configuration_must_agree_on_encryption(master: Secret) -> None:
    backend = MemoryBackend()
    add_slot(backend, master, RANDOM, REPOSITORY, SYSTEM)
    names = {
        open_sealer(backend, REPOSITORY, [ENCRYPTION], key, SYSTEM.random).name(b"chunk") for key in (RANDOM, master)
    }
    plain = open_sealer(backend, REPOSITORY, [], None, SYSTEM.random)
    assert len(names) == 1
    assert plain.name(b"chunk") not in names
    with pytest.raises(IntegrityError, match="not encrypted, although"):
        open_sealer(backend, REPOSITORY, [], RANDOM, SYSTEM.random)
    with pytest.raises(PermissionRefusedError, match="no key was given"):
        open_sealer(backend, REPOSITORY, [ENCRYPTION], None, SYSTEM.random)
    with pytest.raises(PermissionRefusedError, match="opens none"):
        open_sealer(backend, REPOSITORY, [ENCRYPTION], passphrase("a wrong one"), SYSTEM.random)


def test_slots_have_a_bound(master: Secret) -> None:
    backend = MemoryBackend()
    for _ in range(SLOTS_MAX):
        add_slot(backend, master, RANDOM, REPOSITORY, SYSTEM)
    with pytest.raises(ConflictError, match="16 key slots already"):
        add_slot(backend, master, RANDOM, REPOSITORY, SYSTEM)
    assert len(backend.objects) == SLOTS_MAX


def test_an_oversized_slot_does_not_keep_another_from_opening(master: Secret) -> None:
    backend = MemoryBackend()
    add_slot(backend, master, RANDOM, REPOSITORY, SYSTEM)
    backend.objects["keys/0000000000000000.json"] = b" " * (SLOT_BYTES_MAX + 1)
    assert unlock(backend, REPOSITORY, RANDOM)[0].reveal() == master.reveal()


def test_a_slot_that_was_not_stored_as_written_is_noticed(master: Secret) -> None:
    class Lossy(MemoryBackend):
        def create(self, name: str, data: bytes) -> bool:
            return super().create(name, data[:-1])

    with pytest.raises(IntegrityError):
        add_slot(Lossy(), master, RANDOM, REPOSITORY, SYSTEM)
