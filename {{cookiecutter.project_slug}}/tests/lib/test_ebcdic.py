"""The encoding cp1047, which Python does not have."""

import codecs

import pytest

import lib.ebcdic  # noqa: F401 - registers the encoding
from tests.tables import for_each

MOVED = b"\x5f\xad\xb0\xba\xbb\xbd"


def test_six_characters_are_in_other_places_than_in_cp037() -> None:
    assert MOVED.decode("cp1047") == "^[¬Ý¨]"
    others = bytes(code for code in range(256) if code not in MOVED)
    assert others.decode("cp1047") == others.decode("cp037")


def test_all_bytes_are_characters() -> None:
    everything = bytes(range(256))
    text = everything.decode("cp1047")
    assert len(set(text)) == 256
    assert text.encode("cp1047") == everything
    decoder = codecs.getincrementaldecoder("cp1047")()
    assert decoder.decode(everything) == text
    assert decoder.decode(b"", final=True) == ""


@for_each("name", ["cp1047", "ibm1047", "IBM-1047", "ibm_1047"])
def test_encoding_has_several_names(name: str) -> None:
    assert codecs.lookup(name).name == "cp1047"


def test_similar_name_is_unknown() -> None:
    with pytest.raises(LookupError):
        codecs.lookup("cp1048")


def test_other_characters_are_errors() -> None:
    with pytest.raises(UnicodeEncodeError):
        "€".encode("cp1047")
    assert "a€".encode("cp1047", "replace") == "a?".encode("cp1047")
