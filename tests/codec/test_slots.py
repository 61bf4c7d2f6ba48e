"""Key slots: the right secret opens, a wrong one is told from damage, and no stored number costs hours."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.codec import slots
from maos_ckpt.codec.secret import Secret, key_file, passphrase, read_secret
from maos_ckpt.codec.slots import (
    SLOT_BYTES_MAX,
    SLOTS_MAX,
    ScryptCost,
    Slot,
    decode_slot,
    encode_slot,
    new_master,
    new_slot,
    open_slot,
    open_slots,
    slot_name,
)
from maos_ckpt.errors import CkptError, ConfigError, FormatError, IntegrityError, PermissionRefusedError, UsageError
from maos_ckpt.seams import SYSTEM
from tests.codec.randomness import numbered_seams

REPOSITORY = "00112233445566778899aabbccddeeff"
CHEAP = ScryptCost(1 << 14)
WORDS = passphrase("correct horse battery")
RANDOM = Secret("key_file", bytes(range(7, 71)))


def slot_for(secret: Secret, master: Secret) -> Slot:
    return new_slot(master, secret, REPOSITORY, SYSTEM, cost=CHEAP)


def stored(*many: Slot) -> dict[str, bytes]:
    return {slot_name(one.id): encode_slot(one) for one in many}


def resealed(slot: Slot, **changes: object) -> Slot:
    """A slot with other fields and a checksum that fits them, as somebody who can write to the storage would make."""
    changed = msgspec.structs.replace(slot, **changes)
    return msgspec.structs.replace(changed, checksum=slots._checksum(changed))


@pytest.fixture(scope="module")
def master() -> Secret:
    return new_master(SYSTEM)


@pytest.fixture(scope="module")
def slot(master: Secret) -> Slot:
    return slot_for(WORDS, master)


def test_each_of_several_secrets_opens(master: Secret, slot: Slot) -> None:
    both = stored(slot, slot_for(RANDOM, master))
    for secret in (WORDS, RANDOM):
        opened, by = open_slots(both, secret, REPOSITORY)
        assert opened.reveal() == master.reveal()
        assert by.kind == secret.kind


@pytest.mark.parametrize("wrong", [passphrase("correct horse batterz"), passphrase(" "), Secret("key_file", bytes(64))])
def test_a_wrong_secret_is_refused_and_does_not_show(master: Secret, slot: Slot, wrong: Secret) -> None:
    with pytest.raises(PermissionRefusedError, match="opens none of the repository's key slots") as caught:
        open_slots(stored(slot, slot_for(RANDOM, master)), wrong, REPOSITORY)
    assert caught.value.exit_code == 7
    assert "horse" not in repr(vars(caught.value)) + repr(caught.value.args)


def test_the_same_bytes_as_passphrase_and_as_key_file_are_two_secrets(master: Secret) -> None:
    words = passphrase("x1" * 16)
    with pytest.raises(PermissionRefusedError):
        open_slots(stored(slot_for(words, master)), Secret("key_file", words.reveal()), REPOSITORY)


def test_every_change_of_one_byte_of_a_slot_is_found(slot: Slot) -> None:
    name, data = slot_name(slot.id), encode_slot(slot)
    for number in range(len(data)):
        for bit in (1, 0x20):
            changed = bytearray(data)
            changed[number] ^= bit
            with pytest.raises((IntegrityError, FormatError)):
                decode_slot(name, bytes(changed), REPOSITORY)
    for length in range(len(data)):
        with pytest.raises(IntegrityError):
            decode_slot(name, data[:length], REPOSITORY)


def test_a_slot_under_another_name_or_of_another_repository_is_refused(slot: Slot) -> None:
    with pytest.raises(IntegrityError):
        decode_slot(slot_name("ff" * 8), encode_slot(slot), REPOSITORY)
    with pytest.raises(IntegrityError, match="another repository"):
        decode_slot(slot_name(slot.id), encode_slot(slot), "ff" * 16)


def test_a_slot_of_a_newer_version_says_so(slot: Slot) -> None:
    with pytest.raises(FormatError, match="version 2"):
        decode_slot(slot_name(slot.id), encode_slot(resealed(slot, version=2)), REPOSITORY)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1 << 40},
        {"n": 1 << 20},
        {"r": 1 << 30},
        {"p": 1 << 30},
        {"n": 1 << 13},
        {"n": (1 << 14) + 1},
        {"n": 0},
        {"n": -(1 << 17)},
        {"r": 0},
        {"p": -1},
        {"p": 64},
        {"n": 1 << 18, "r": 32},
        {"kind": "key_file"},
        {"kind": "plain"},
        {"salt": ""},
        {"salt": "zz"},
        {"wrapped": "00" * 4},
        {"check": "00" * 33},
        {"id": "../../../etc"},
    ],
)
def test_hostile_parameters_are_refused_before_they_cost_anything(slot: Slot, changes: dict[str, object]) -> None:
    hostile = resealed(slot, **changes)
    started = time.monotonic()
    with pytest.raises(IntegrityError):
        open_slots(stored(hostile), WORDS, REPOSITORY)
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 5000, b'{"version": 1}', b"\xff\xfe", b"null", b"9" * 4000])
def test_what_is_no_slot_is_damage(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode_slot(slot_name("00" * 8), data, REPOSITORY)


def test_a_slot_with_a_number_that_has_no_place_in_its_checksum_is_damage(slot: Slot) -> None:
    data = encode_slot(slot).replace(b'"n": ', b'"n": 9999999999999999999999')
    with pytest.raises(IntegrityError, match="is damaged"):
        decode_slot(slot_name(slot.id), data, REPOSITORY)


@pytest.mark.parametrize("changes", [{"label": "boss"}, {"created_at_ms": 5}, {"wrapped": "00" * 60}])
def test_a_forged_slot_does_not_open_with_the_right_secret(slot: Slot, changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        open_slots(stored(resealed(slot, **changes)), WORDS, REPOSITORY)


def test_a_damaged_slot_does_not_keep_another_from_opening(master: Secret, slot: Slot) -> None:
    both = stored(slot, slot_for(RANDOM, master))
    both[slot_name(slot.id)] = b"{"
    assert open_slots(both, RANDOM, REPOSITORY)[0].reveal() == master.reveal()
    with pytest.raises(IntegrityError, match="1 of them cannot be read"):
        open_slots(both, WORDS, REPOSITORY)


def test_no_slots_and_too_many_are_refused_at_once(slot: Slot) -> None:
    for many in ({}, {slot_name(f"{number:016x}"): encode_slot(slot) for number in range(SLOTS_MAX + 1)}):
        with pytest.raises(IntegrityError, match="it must have 1 to"):
            open_slots(many, WORDS, REPOSITORY)


def test_a_slot_fits_its_bound(master: Secret) -> None:
    largest = new_slot(master, WORDS, REPOSITORY, SYSTEM, label="\N{GRINNING FACE}" * 80, cost=CHEAP)
    assert len(encode_slot(largest)) < SLOT_BYTES_MAX
    assert decode_slot(slot_name(largest.id), encode_slot(largest), REPOSITORY) == largest


def test_weak_new_secrets_and_labels_are_refused(master: Secret) -> None:
    for secret, label, cost in (
        (passphrase("short"), "", CHEAP),
        (WORDS, "a\nb", CHEAP),
        (WORDS, "x" * 81, CHEAP),
        (WORDS, "", ScryptCost(1 << 10)),
        (WORDS, "", ScryptCost(1 << 30)),
    ):
        with pytest.raises(UsageError):
            new_slot(master, secret, REPOSITORY, SYSTEM, label=label, cost=cost)


def test_the_format_of_slots_does_not_drift() -> None:
    seams = numbered_seams()
    master = new_master(seams)
    one = new_slot(master, WORDS, REPOSITORY, seams, label="laptop", cost=CHEAP)
    other = new_slot(master, RANDOM, REPOSITORY, seams)
    assert (
        hashlib.sha256(encode_slot(one)).hexdigest()
        == "bb5dc11febdbb202cbc163d68f41c193f86940cd2ca0535dacdc4709c48adbdb"
    )
    assert (
        hashlib.sha256(encode_slot(other)).hexdigest()
        == "358c2c837189a57525d6e5e5c59cd604e8be67796ea024a191c634a1f13ed34e"
    )
    opened = [open_slot(one, WORDS), open_slot(other, RANDOM)]
    assert [found and found.reveal() for found in opened] == [master.reveal()] * 2


def test_references_lead_to_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKPT_TEST_PASSPHRASE", "correct horse battery")
    path = tmp_path / "key"
    path.write_bytes(RANDOM.reveal())
    assert read_secret("env:CKPT_TEST_PASSPHRASE").reveal() == WORDS.reveal()
    assert read_secret(f"file:{path}").reveal() == RANDOM.reveal()
    assert (read_secret(f"file:{path}").kind, read_secret("env:CKPT_TEST_PASSPHRASE").kind) == (
        "key_file",
        "passphrase",
    )


@pytest.mark.parametrize(
    "reference", ["hunter2", "env:hunter2", "pass:hunter2", "", "env:", "file:", "command:hunter2"]
)
def test_a_wrong_reference_is_not_repeated(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_secret(reference)
    assert "hunter2" not in repr(vars(caught.value))


def test_references_that_lead_nowhere_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CKPT_TEST_PASSPHRASE", raising=False)
    with pytest.raises(PermissionRefusedError, match="CKPT_TEST_PASSPHRASE"):
        read_secret("env:CKPT_TEST_PASSPHRASE")
    os.mkfifo(tmp_path / "pipe")
    contents = {"short": os.urandom(31), "long": os.urandom(65_537), "zeros": bytes(4096), "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "pipe", "missing", ".", "nul\0"]:
        with pytest.raises(PermissionRefusedError):
            key_file(tmp_path / name)
    for text in ("", "x" * 5000):
        with pytest.raises(CkptError):
            passphrase(text)
