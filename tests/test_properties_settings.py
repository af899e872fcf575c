"""Any setting is refused with `SettingsError`, or arrives as it was written."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url
from hypothesis import assume, given
from hypothesis import strategies as st
from settings import SETTINGS, Secret, SettingsError
from settings_reader import BOOLEANS, read

from properties import examples

ALL = {each.name: each for group in SETTINGS.values() for each in group}
PLAIN = [
    *("010", "no", "NULL", "~", "0x1F", "1_000", "1e3", "12:34:56", "2026-01-05"),
    *("-", "--", "-x", "--nothing", "a: b", "a #b", "[a, b]", "{a: b}", "'", '"'),
    *(" a ", "a\n", "a\r", "", "none", "true", "5", "0.5", "💶", "é", "\\é", "\\x41"),
    *("\\", "\\N", "utf-8", "http://[::1]", "a=b", "=", ",", "%", "@", "!a", "$A"),
    *("|", ">", "&a", "*a", "<<", "csv", "a=b,c=d", "a=%d.%m.%Y", "\x85", "\u2028"),
]
DASHES = {"-", "--", "-x", "--nothing"}
TEXTS = st.sampled_from(PLAIN) | st.text(max_size=12)
WORDS = TEXTS.filter(lambda text: "\0" not in text)  # the system has no others
SHARED = [each for each in ALL.values() if each.parse is str and not each.choices]
TEXT_NAMES = st.sampled_from(
    [each.name for each in SHARED if not each.is_list and each.name != "order_by"]
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file to write."""
    return tmp_path_factory.mktemp("settings") / "config.yml"


def read_settings(*words: str | Path, variables: dict[str, str] | None = None) -> Any:
    """Return the settings of a command line and of no other variables than these.

    A path among the words is that of a configuration file.
    """
    words = tuple(f"--const_path={x}" if isinstance(x, Path) else x for x in words)
    with patch.dict(os.environ, variables or {}, clear=True):
        return read(words)


@examples(150)
@given(TEXT_NAMES, WORDS)
def test_text_of_variable_and_flag_is_not_altered(name: str, text: str) -> None:
    setting = ALL[name]
    assert read_settings(f"--{name}={text}")[name] == text
    if text:
        assert read_settings(variables={setting.variable: text})[name] == text
    try:
        found = read_settings(f"--{name}", text)
    except SettingsError:
        assert text.startswith("-")
    else:
        assert found[name] == text


@examples(150)
@given(TEXT_NAMES, TEXTS, st.sampled_from([None, "'", '"', "|", ">"]), st.booleans())
def test_text_of_file_is_not_altered(
    config: Path, name: str, text: str, style: str | None, is_unicode: bool
) -> None:
    written = yaml.safe_dump(
        {name: text}, default_style=style, allow_unicode=is_unicode
    )
    assume(yaml.load(written, yaml.BaseLoader) == {name: text})  # PyYAML has faults
    config.write_bytes(written.encode())
    assert read_settings(config)[name] == text


@examples(200)
@given(TEXT_NAMES, TEXTS, st.sampled_from(["{}", "'{}'", '"{}"', "[{}]", "{} # b"]))
def test_text_without_quotes_is_text_or_refused(
    config: Path, name: str, text: str, form: str
) -> None:
    content = f"{name}: {form.format(text)}\n"
    config.write_bytes(content.encode())
    try:
        found = read_settings(config)[name]
    except SettingsError:
        return
    expected = yaml.load(content, yaml.BaseLoader)[name]  # reads all scalars as text
    assert found == expected or (not expected and found in ("", ALL[name].default))


COLUMNS = st.lists(WORDS, min_size=1, max_size=4).filter(lambda x: {*x} != {"-"})


@examples(150)
@given(COLUMNS)
def test_texts_of_list_are_not_altered(config: Path, texts: list[str]) -> None:
    config.write_text(yaml.safe_dump({"columns": texts}), encoding="utf-8")
    assert list(read_settings(config).columns) == texts
    flags = [text for text in texts if text.startswith("-") and text not in DASHES]
    assume(not flags)  # they may be those of other settings
    try:
        found = read_settings("--columns", *texts)
    except SettingsError:
        assert DASHES & {*texts}
    else:
        assert list(found.columns) == texts


@examples(150)
@given(COLUMNS)
def test_texts_of_list_in_variable_are_not_altered(texts: list[str]) -> None:
    parts = [text.translate(str.maketrans("", "", ",[]")).strip() for text in texts]
    expected = [part for part in parts if part]
    assume({*expected} - {"-"})
    for text in (", ".join(parts), f"[{','.join(parts)}]"):
        found = read_settings(variables={"DB_COLUMNS": text})
        assert list(found.columns) == expected


PARTS = [*PLAIN, *ALL, ": ", "\n", "- ", "\\U00110000", "\\UFFFFFFFF", "\\ud83d", "[["]
TOKENS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


@examples(300)
@given(st.binary(max_size=60) | TOKENS.map(str.encode))
def test_any_file_is_refused_or_read(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    try:
        found = read_settings(config)
    except SettingsError as error:
        str(error).encode()
    else:
        "".join(map(str, found.values())).encode()


NUMBERS = st.integers(-1, 10**9).map(str) | st.floats().map(str)
URLS = st.text("a1-.:[]%@/_é\r ", max_size=10).map("http://{}".format)
VALUES = WORDS | NUMBERS | URLS | st.sampled_from([*BOOLEANS, "Skip", "9" * 5000])


@examples(400)
@given(
    st.sampled_from(sorted(ALL)),
    st.sampled_from(["file", "variable", "flag", "flag and variable"]),
    VALUES,
)
def test_any_value_is_refused_or_means_what_it_says(
    config: Path, name: str, source: str, text: str
) -> None:
    setting = ALL[name]
    content = {name: text} if source == "file" else {}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    variables = {setting.variable: text} if "variable" in source else {}
    words = [f"--{name}={text}"] if "flag" in source else []
    try:
        value = read_settings(config, *words, variables=variables)[name]
    except SettingsError as error:
        str(error).encode()
        return
    if source == "variable" and not text:
        return  # the same as none
    if setting.is_list or setting.is_map:
        return
    if setting.parse in (str, Secret):
        assert value == text
    elif setting.parse is bool:
        assert value is BOOLEANS[text.lower()]
    elif name == "header":
        assert value in ("skip", text, str(BOOLEANS.get(text.lower())).lower())
    elif name == "send_queues":
        assert all(f"{key}={queue}" in text for key, queue in value.items())
    elif name.endswith("_endpoint"):
        assert value == text
        assert is_valid_endpoint_url(text) or is_valid_ipv6_endpoint_url(text)
    elif isinstance(value, int | float):
        assert value == float(text)
    elif text != "none":
        assert value == (text if "\\" not in text else value)
        assert {each for each in text if not each.isascii()} <= {*value}
