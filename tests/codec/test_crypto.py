"""Sealed objects: they open as what they were sealed as, under the same key, unchanged; or not at all."""

from __future__ import annotations

import copy
import hashlib
import hmac
import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.crypto import (
    ENVELOPE_BYTES,
    NONCE_BYTES,
    SEAL_BYTES,
    KeyedSealer,
    Kind,
    PlainSealer,
    Sealer,
    hkdf,
)
from maos_ckpt.codec.secret import Secret
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import IntegrityError
from maos_ckpt.seams import SYSTEM
from tests.codec.randomness import Numbered

REPOSITORY = "00112233445566778899aabbccddeeff"
MASTER = Secret("master", bytes(range(32)))
NAME = "manifests/000000000007"
KINDS = st.sampled_from(Kind)


def sealer(master: Secret = MASTER, repository: str = REPOSITORY) -> KeyedSealer:
    return KeyedSealer(master, repository, SYSTEM.random)


def by_the_book(kind: int, identity: bytes, nonce: bytes, data: bytes) -> bytes:
    """FORMAT.md, "Encryption", once more, on nothing but the library's own primitives."""
    repository = bytes.fromhex(REPOSITORY)
    root = HKDF(SHA256(), 32, repository, b"maos-ckpt sealing 1").derive(MASTER.reveal())
    key = HKDFExpand(SHA256(), 32, bytes([kind]) + identity).derive(root)
    binding = b"maos-ckpt sealed 1" + bytes([kind]) + repository + len(identity).to_bytes(4, "big") + identity
    return nonce + AESGCM(key).encrypt(nonce, data, binding)


@settings(max_examples=150, deadline=None)
@given(KINDS, st.binary(max_size=80), st.binary(max_size=3000))
def test_what_is_sealed_opens_again_and_follows_the_format(kind: Kind, identity: bytes, data: bytes) -> None:
    one = sealer()
    sealed = one.seal(kind, identity, data)
    assert len(sealed) == len(data) + SEAL_BYTES == len(data) + one.payload_bytes
    assert one.open(kind, identity, sealed) == data
    assert sealed == by_the_book(kind, identity, sealed[:NONCE_BYTES], data)


@settings(max_examples=80, deadline=None)
@given(KINDS, st.text(max_size=80), st.binary(max_size=3000))
def test_a_whole_object_opens_again(kind: Kind, name: str, data: bytes) -> None:
    stored = sealer().seal_object(kind, name, data)
    assert len(stored) == len(data) + ENVELOPE_BYTES
    assert sealer().open_object(kind, name, stored) == data


def test_every_change_of_one_byte_is_found() -> None:
    one = sealer()
    sealed = one.seal(Kind.CHUNK, b"identity", b"some plain bytes")
    stored = one.seal_object(Kind.MANIFEST, NAME, b"some plain bytes")
    for number in range(len(sealed)):
        for bit in (1, 0x80):
            changed = bytearray(sealed)
            changed[number] ^= bit
            with pytest.raises(IntegrityError):
                one.open(Kind.CHUNK, b"identity", bytes(changed))
    for number in range(len(stored)):
        for bit in (1, 0x80):
            changed = bytearray(stored)
            changed[number] ^= bit
            with pytest.raises(IntegrityError):
                one.open_object(Kind.MANIFEST, NAME, bytes(changed))


def test_every_change_is_found_even_where_the_checksum_was_mended() -> None:
    one = sealer()
    stored = one.seal_object(Kind.MANIFEST, NAME, b"some plain bytes")
    for number in range(len(stored) - 32):
        changed = bytearray(stored[:-32])
        changed[number] ^= 4
        with pytest.raises(IntegrityError):
            one.open_object(Kind.MANIFEST, NAME, bytes(changed) + hashlib.sha256(changed).digest())


def test_a_cut_object_is_found() -> None:
    one = sealer()
    sealed = one.seal(Kind.CHUNK, b"", b"plain")
    for length in range(len(sealed)):
        with pytest.raises(IntegrityError):
            one.open(Kind.CHUNK, b"", sealed[:length])
    stored = one.seal_object(Kind.MANIFEST, NAME, b"plain")
    for length in range(len(stored)):
        with pytest.raises(IntegrityError):
            one.open_object(Kind.MANIFEST, NAME, stored[:length])


def test_swapped_objects_do_not_open() -> None:
    one = sealer()
    first, second = b"a" * 32, b"b" * 32
    sealed = one.seal(Kind.CHUNK, first, b"plain")
    for kind, identity in ((Kind.CHUNK, second), (Kind.PACK_INDEX, first), (Kind.CHUNK, first[:-1]), (Kind.MARKS, b"")):
        with pytest.raises(IntegrityError, match="does not open"):
            one.open(kind, identity, sealed)
    stored = one.seal_object(Kind.MANIFEST, NAME, b"plain")
    for other_kind, name in ((Kind.MANIFEST, "manifests/000000000008"), (Kind.MARKS, NAME)):
        with pytest.raises(IntegrityError):
            one.open_object(other_kind, name, stored)


def test_another_key_and_another_repository_do_not_open() -> None:
    sealed = sealer().seal(Kind.CHUNK, b"x", b"plain")
    for other in (sealer(Secret("master", bytes(32))), sealer(repository="ff" * 16)):
        with pytest.raises(IntegrityError):
            other.open(Kind.CHUNK, b"x", sealed)
        assert other.name(b"plain") != sealer().name(b"plain")


def test_chunk_names_tell_nothing_without_the_key() -> None:
    root = HKDF(SHA256(), 32, bytes.fromhex(REPOSITORY), b"maos-ckpt chunk names 1").derive(MASTER.reveal())
    assert sealer().name(b"known content") == hmac.digest(root, b"known content", "sha256")
    assert PlainSealer().name(b"known content") == hashlib.sha256(b"known content").digest()


def test_an_object_in_the_clear_is_refused_in_an_encrypted_repository_and_the_other_way_round() -> None:
    keyed, plain = sealer(), PlainSealer()
    with pytest.raises(IntegrityError, match="is not encrypted, but this repository is"):
        keyed.open_object(Kind.MANIFEST, NAME, plain.seal_object(Kind.MANIFEST, NAME, b"MCKM plain"))
    with pytest.raises(IntegrityError, match="is encrypted, but this repository is not"):
        plain.open_object(Kind.MANIFEST, NAME, keyed.seal_object(Kind.MANIFEST, NAME, b"MCKM plain"))
    assert plain.open_object(Kind.MANIFEST, NAME, b"MCKM plain") == b"MCKM plain"
    assert plain.pack_flags != keyed.pack_flags


def test_a_plain_sealer_changes_nothing() -> None:
    plain: Sealer = PlainSealer()
    assert plain.seal(Kind.CHUNK, b"x", b"data") == plain.open(Kind.CHUNK, b"x", b"data") == b"data"
    assert plain.payload_bytes == 0


def test_the_same_bytes_never_seal_to_the_same_bytes() -> None:
    one = sealer()
    nonces = {one.seal(Kind.CHUNK, b"same", b"same")[:NONCE_BYTES] for _ in range(100_000)}
    assert len(nonces) == 100_000


def test_a_forked_process_does_not_repeat_nonces() -> None:
    one = sealer()
    nonces: list[bytes] = []
    for _ in range(4):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, b"".join(one.seal(Kind.CHUNK, b"same", b"same")[:NONCE_BYTES] for _ in range(100)))
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as file:
            data = file.read()
        assert os.waitpid(child, 0)[1] == 0
        nonces += [data[at : at + NONCE_BYTES] for at in range(0, len(data), NONCE_BYTES)]
    nonces += [one.seal(Kind.CHUNK, b"same", b"same")[:NONCE_BYTES] for _ in range(100)]
    assert len(set(nonces)) == len(nonces) == 500


def test_the_format_does_not_drift() -> None:
    one = KeyedSealer(MASTER, REPOSITORY, Numbered())
    assert one.name(b"chunk").hex() == "69397cdf63cfca1bc6a8574912b7a3410139ede82ee89b620839f4113c8f94c3"
    assert (
        one.seal(Kind.CHUNK, one.name(b"chunk"), b"payload").hex()
        == "f9fcdd9f9a6b212b9e1a79ec96f0eb5489984c62ae3f3a17c8e1b06c537491764d27e9"
    )
    assert one.seal_object(Kind.MANIFEST, NAME, b"manifest").hex() == (
        "4d434b53010300000a1321c6e2b691abff336cef15d1c85d4d2058dd735c95fcbaa5abfc249e51f1"
        "4ff04431483440bdf4a7bdf8e17162e385b1b928b073ac1e3556c0d36d005f14f12207eb"
    )


def test_hkdf_is_that_of_rfc_5869() -> None:
    key, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert hkdf(key, salt, info).hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    assert hkdf(key, b"", b"").hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


def test_a_secret_does_not_show() -> None:
    secret = Secret("passphrase", b"correct horse")
    one = sealer()
    for text in (repr(secret), str(secret), f"{secret}", repr([secret]), repr(one), repr(vars(one)["master"])):
        assert "horse" not in text
        assert MASTER.reveal().hex() not in text
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_a_repository_in_the_clear_does_not_load_the_library() -> None:
    script = "import sys, maos_ckpt.codec.slots as s, maos_ckpt.codec.crypto as c\nc.PlainSealer().name(b'')\n"
    script += "assert 'cryptography' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", script], check=True, env=child_environment(), timeout=30)
