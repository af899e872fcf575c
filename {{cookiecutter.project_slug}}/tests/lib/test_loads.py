"""Loads: the latest state of an object, and files with too many bad lines."""

import io
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lib.blocks import BLOCK_SIZE, LINE_LIMIT
from lib.chunks import Chunk
from lib.events import S3Object
from lib.loads import (
    MAX_KEY,
    READ_AHEAD,
    Claim,
    KeyedRows,
    Load,
    OtherVersion,
    TooManyRejectsError,
    choose_source,
)
from lib.records import LOOKAHEAD
from lib.rejects import Refusal, Reject
from tests.mock.aws import FIRST_MODIFIED, object_response
from tests.mock.rds import MockRds, MockStore
from tests.tables import for_each

VERSION = S3Object("raw", "a.csv", version="v1", etag="e1")
STATE = S3Object("raw", "a.csv", etag="e1")


class Store(MockStore):
    """A store whose ledger has other versions of the object.

    `deleted` has the numbers of loads whose rows were deleted, `calls` other calls.
    """

    def __init__(self, ages: tuple[int, ...] = (), is_new: bool = True) -> None:
        super().__init__(MockRds(), "clicks")
        self._ages = ages
        self._is_new = is_new
        self.deleted: list[int] = []
        self.calls: list[tuple[Any, ...]] = []

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """Return the claim that the test asks for."""
        return Claim(1, self._is_new)

    def other_versions(self, number: int) -> list[OtherVersion]:
        """Return the ages that the test asks for, numbered from 10."""
        return [OtherVersion(10 + at, age) for at, age in enumerate(self._ages)]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """Note the numbers."""
        check()
        self.deleted += numbers

    def lock(self, number: int) -> None:
        """Note the number."""
        self.calls.append(("lock", number))

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """Note what is entered."""
        self.calls.append(("describe", number, size, modified))

    def delete_rejects(self, number: int) -> None:
        """Note the number."""
        self.calls.append(("delete rejects", number))

    def send(self, number: int, chunk: Chunk) -> None:
        """Note the number of rows."""
        self.calls.append(("send", number, len(chunk.origins)))
        super().send(number, chunk)

    def flush(self) -> bool:
        """Note the end of a batch."""
        self.calls.append(("flush",))
        return super().flush()

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """Note the numbers of the lines."""
        self.calls.append(("reject", number, [each.line for each in rejects]))

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """Note what is entered."""
        self.calls.append(("record", number, loaded, rejected))


class S3:
    """S3 whose current version of each object is `current`."""

    exceptions = SimpleNamespace(ClientError=KeyError)

    def __init__(self, current: S3Object) -> None:
        self._current = current

    def head_object(self, **_: str) -> dict[str, str]:
        """Return version and ETag."""
        return {"VersionId": self._current.version, "ETag": f'"{self._current.etag}"'}

    def get_object(self, **_: str) -> dict[str, Any]:
        """Return a body."""
        return object_response(io.BytesIO(b"a\n"), 2)


def load(store: Store, s3_object: S3Object, current: S3Object = VERSION) -> str:
    """Load an object with `on_new_version: replace`; return the outcome."""
    loading = Load(store, s3_object, "worker", replaces=True)
    loading.open(S3(current)).read(10)
    loading.finish()
    return str(loading.report["outcome"])


OTHER = VERSION._replace(version="v2", etag="e2")


@for_each(
    ("ages", "current", "outcome", "deleted"),
    [
        ((), OTHER, "loaded", []),
        ((-1, -1), OTHER, "loaded", [10, 11]),
        ((-1, 1), VERSION, "superseded", []),
        ((-1, 0), VERSION, "loaded", [10, 11]),
        ((-1, 0), OTHER, "superseded", []),
    ],
)
def test_latest_version_replaces_others(
    ages: tuple[int, ...], current: S3Object, outcome: str, deleted: list[int]
) -> None:
    store = Store(ages)
    assert (load(store, VERSION, current), store.deleted) == (outcome, deleted)


@for_each(
    ("ages", "current", "outcome"),
    [
        ((), STATE, "loaded before"),
        ((-1,), STATE, "loaded before"),
        ((1,), STATE, "loaded"),
        ((0,), STATE, "loaded"),
        ((1,), OTHER, "loaded before"),
    ],
)
def test_returned_state_is_loaded_again(
    ages: tuple[int, ...], current: S3Object, outcome: str
) -> None:
    store = Store(ages, is_new=False)
    current = current._replace(version="")
    assert load(store, STATE, current) == outcome
    assert store.deleted == ([1, 10] if outcome == "loaded" else [])


def test_known_version_is_not_loaded_again() -> None:
    assert load(Store((1,), is_new=False), VERSION) == "loaded before"


def test_known_version_is_loaded_again_on_request() -> None:
    store = Store(is_new=False)
    assert load(store, VERSION._replace(reload=True)) == "loaded"
    assert store.deleted == [1]


def add_chunks(loading: Load, *numbers: tuple[int, int]) -> None:
    """Add chunks of good rows and rejects; then finish."""
    for good, bad in numbers:
        rows = [(1, "anna")] * good
        rejects = [Reject(2, "x", "fields: 1 instead of 5")] * bad
        loading.add(Chunk(b"anna\n" * good, rows, rejects))
    loading.finish()


@for_each(("good", "bad"), [(5, 5), (10, 0), (0, 0)])
def test_share_of_rejects_is_allowed(good: int, bad: int) -> None:
    loading = Load(Store(), VERSION, "worker", max_reject_share=0.5)
    add_chunks(loading, (good, bad))
    assert (loading.report["loaded"], loading.report["rejected"]) == (good, bad)


def test_too_many_rejects_say_why() -> None:
    loading = Load(Store(), VERSION, "worker", max_reject_share=0.5)
    message = "6 of 11 lines are bad, .* 6 x fields: 1 instead of 5; the first are line"
    with pytest.raises(TooManyRejectsError, match=message):
        add_chunks(loading, (5, 6))


def test_hopeless_file_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.loads.READ_AHEAD", 0)
    loading = Load(Store(), VERSION, "worker", max_reject_share=0.5)
    with pytest.raises(TooManyRejectsError, match="40 of 40 lines"):
        add_chunks(loading, *[(0, 10)] * 4, *[(10, 0)] * 100)


def test_refused_rows_are_counted_without_values() -> None:
    loading = Load(Store(), VERSION, "worker", max_reject_share=0.1)
    loading.add(Chunk(b"refused\nanna\n", [(1, "refused"), (2, "anna")]))
    with pytest.raises(TooManyRejectsError, match=r"1 x OutOfRange; .* line 1: Out"):
        loading.finish()


def test_limit_of_refusals_follows_from_share() -> None:
    limits: list[int] = []

    class LimitedStore(Store):
        def insert_acceptable(
            self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
        ) -> dict[int, Refusal]:
            limits.append(limit)
            return super().insert_acceptable(number, chunk, limit, check)

    loading = Load(LimitedStore(), VERSION, "worker", max_reject_share=0.5)
    loading.add(Chunk(b"refused\n" + b"anna\n" * 9, [(1, "anna")] * 10))
    loading.finish()
    assert limits == [6]


DESCRIBE = ("describe", 1, 2, FIRST_MODIFIED)
LOCK = ("lock", 1)
DELETE_REJECTS = ("delete rejects", 1)


def open_object(
    s3_object: S3Object, is_new: bool = True, replaces: bool = False
) -> tuple[bytes, Store]:
    """Open an object that has one older version; return its body and the store."""
    store = Store((-1,), is_new)
    loading = Load(store, s3_object, "worker", replaces)
    assert loading.is_new is is_new
    return loading.open(S3(s3_object)).read(10), store


@for_each(
    ("s3_object", "is_new", "replaces", "body", "calls", "deleted"),
    [
        (VERSION, True, False, b"a\n", [DESCRIBE], []),
        (VERSION, True, True, b"a\n", [LOCK, DESCRIBE], [10]),
        (VERSION, False, False, b"", [], []),
        (VERSION, False, True, b"", [], []),
        (STATE, True, False, b"a\n", [DESCRIBE], []),
        (STATE, True, True, b"a\n", [LOCK, DESCRIBE], [10]),
        (STATE, False, False, b"", [], []),
        # it may have returned
        (STATE, False, True, b"", [LOCK], []),
        (
            VERSION._replace(reload=True),
            *(False, False, b"a\n", [LOCK, DELETE_REJECTS, DESCRIBE], [1]),
        ),
        (
            VERSION._replace(reload=True),
            *(False, True, b"a\n", [LOCK, DELETE_REJECTS, DESCRIBE], [1, 10]),
        ),
        (VERSION._replace(reload=True), True, False, b"a\n", [LOCK, DESCRIBE], []),
    ],
)
def test_object_is_opened_unless_it_is_known(
    s3_object: S3Object,
    is_new: bool,
    replaces: bool,
    body: bytes,
    calls: list[Any],
    deleted: list[int],
) -> None:
    found, store = open_object(s3_object, is_new, replaces)
    assert (found, store.calls, store.deleted) == (body, calls, deleted)


def test_superseded_version_is_empty() -> None:
    store = Store((1,))
    loading = Load(store, VERSION, "worker", replaces=True)
    assert loading.open(S3(OTHER)).read(10) == b""
    loading.finish()
    assert store.calls[-1] == ("record", 1, 0, 0)
    assert loading.report == {
        "object": str(VERSION),
        "outcome": "superseded",
        "loaded": 0,
        "rejected": 0,
    }


def test_versions_are_kept_by_default() -> None:
    store = Store((-1,))
    Load(store, VERSION, "worker").open(S3(VERSION))
    assert store.deleted == []


def test_known_object_is_not_recorded_again() -> None:
    store = Store(is_new=False)
    loading = Load(store, VERSION, "worker")
    loading.finish()
    assert store.calls == []
    assert loading.report["outcome"] == "loaded before"


def test_check_stops_a_load() -> None:
    def stop() -> None:
        raise TimeoutError

    store = Store((-1,))
    loading = Load(store, VERSION, "worker", True, check=stop)
    with pytest.raises(TimeoutError):
        loading.open(S3(VERSION))
    with pytest.raises(TimeoutError):
        loading.add(Chunk(b"anna\n", [(1, "anna")]))
    assert store.calls == [LOCK, DESCRIBE]


def make_chunk(*rows: str, csv: bytes = b"", bad: int = 0) -> Chunk:
    """Return a chunk of rows, and of so many bad lines behind them."""
    text = "".join(f"{row}\n" for row in rows).encode()
    first = len(rows) + 1
    rejects = [Reject(line, "x", "too short") for line in range(first, first + bad)]
    return Chunk(text, list(enumerate(rows, 1)), rejects, csv)


def test_batch_has_several_chunks() -> None:
    store = Store()
    loading = Load(store, VERSION, "worker")
    for _ in range(store.chunks_per_batch + 1):
        loading.add(make_chunk("anna", "bob"))
    loading.finish()
    send = ("send", 1, 2)
    calls = [send, send, send, send, ("flush",), send, ("flush",)]
    assert store.calls == [*calls, ("record", 1, 10, 0)]


def test_batch_is_all_csv_or_none() -> None:
    store = Store()
    loading = Load(store, VERSION, "worker")
    for csv in (b"anna\n", b"anna\n", b"", b"", b"anna\n"):
        loading.add(make_chunk("anna", csv=csv))
    loading.finish()
    kinds = "".join(call[0][0] for call in store.calls)
    assert kinds == "ssfssfsfr"  # send, flush, record


def test_chunk_without_rows_is_not_sent() -> None:
    store = Store()
    loading = Load(store, VERSION, "worker")
    loading.add(make_chunk(bad=2))
    loading.finish()
    calls = [("flush",), ("reject", 1, [1, 2]), ("record", 1, 0, 2)]
    assert store.calls == calls


def test_checked_chunk_is_sent() -> None:
    class CheckingStore(Store):
        def check(self, chunk: Chunk) -> Chunk:
            return make_chunk("anna", bad=1)

    store = CheckingStore()
    loading = Load(store, VERSION, "worker")
    loading.add(make_chunk("anna", "x"))
    loading.finish()
    assert store.calls[0] == ("send", 1, 1)
    assert (loading.report["loaded"], loading.report["rejected"]) == (1, 1)


def test_refused_rows_become_rejects() -> None:
    store = Store()
    loading = Load(store, VERSION, "worker")
    loading.add(make_chunk("anna", "refused", bad=1))
    loading.add(make_chunk("refused", "bob"))
    loading.finish()
    assert ("reject", 1, [3, 2, 1]) in store.calls
    assert store.calls[-1] == ("record", 1, 2, 3)
    assert (loading.report["loaded"], loading.report["rejected"]) == (2, 3)


@for_each(
    ("ignored", "updated", "expected"),
    [
        (0, 0, {"loaded": 3}),
        (1, 0, {"loaded": 2, "ignored": 1}),
        (0, 2, {"loaded": 3, "updated": 2}),
    ],
)
def test_report_has_rows_by_outcome(
    ignored: int, updated: int, expected: dict[str, int]
) -> None:
    store = Store()
    loading = Load(store, VERSION, "worker")
    loading.add(make_chunk("anna", "bob", "carl"))
    store.ignored, store.updated = ignored, updated
    loading.finish()
    common = {"object": str(VERSION), "outcome": "loaded", "rejected": 0}
    assert loading.report == common | expected
    assert store.calls[-1] == ("record", 1, 3 - ignored, 0)


def test_key_names_rows() -> None:
    source = choose_source(None, "k" * MAX_KEY)
    assert (source.bucket, source.key, str(source)) == ("", *["k" * MAX_KEY] * 2)
    assert choose_source(VERSION, "") is VERSION
    message = "the key has 1025 characters: use up to 1024"
    with pytest.raises(ValueError, match=message):
        choose_source(None, "k" * (MAX_KEY + 1))


@for_each(("s3_object", "key"), [(None, ""), (VERSION, "clicks/1")])
def test_load_is_of_one_source(s3_object: S3Object | None, key: str) -> None:
    with pytest.raises(ValueError, match="pass one of them"):
        choose_source(s3_object, key)


@for_each("is_new", [True, False])
def test_rows_of_key_are_loaded_once(is_new: bool) -> None:
    store = Store(is_new=is_new)
    loading = Load(store, KeyedRows("", "clicks/1"), "worker", columns=["a", "b"])
    loading.add_rows([("anna", 1), ("bob", None)])
    loading.add_rows([("a\0", 1)])
    loading.finish()
    assert loading.report == {
        "key": "clicks/1",
        "outcome": "loaded" if is_new else "loaded before",
        "loaded": 2 if is_new else 0,
        "rejected": 1 if is_new else 0,
    }
    # rows are numbered through
    assert (("reject", 1, [3]) in store.calls) is is_new


class SmallBatches(Store):
    """A store whose batches have one chunk."""

    chunks_per_batch = 1


@for_each(
    ("size", "read", "shortest_row", "read_ahead", "bad", "is_hopeless"),
    [
        # up to 10 lines of 10 bytes may follow the first chunk
        (100, 0, 10, 0, 10, False),
        (100, 0, 10, 0, 11, True),
        (109, 0, 10, 0, 11, True),
        (110, 0, 10, 0, 11, False),
        # some of them are read already
        (100, 50, 10, 50, 10, False),
        (100, 50, 10, 50, 11, True),
        # a row has at least two bytes
        (20, 0, 0, 0, 10, False),
        (20, 0, 0, 0, 11, True),
        (0, 0, 0, 1, 1, True),
    ],
)
def test_hopeless_file_ends_as_soon_as_it_is(
    size: int,
    read: int,
    shortest_row: int,
    read_ahead: int,
    bad: int,
    is_hopeless: bool,
) -> None:
    class LargeObject(S3):
        def get_object(self, **_: str) -> dict[str, Any]:
            return object_response(io.BytesIO(b"x" * size), size)

    loading = Load(
        SmallBatches(),
        VERSION,
        "worker",
        max_reject_share=0.5,
        shortest_row=shortest_row,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("lib.loads.READ_AHEAD", read_ahead)
        loading.open(LargeObject(VERSION)).read(read)
        loading.add(make_chunk(bad=bad))
        if is_hopeless:
            with pytest.raises(TooManyRejectsError, match=f"{bad} of {bad} lines"):
                loading.add(make_chunk("anna"))
        else:
            loading.add(make_chunk("anna"))


def test_lines_may_wait_in_each_buffer() -> None:
    assert READ_AHEAD == BLOCK_SIZE + LINE_LIMIT + LOOKAHEAD


def test_body_that_is_not_open_has_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.loads.READ_AHEAD", 1)
    loading = Load(SmallBatches(), VERSION, "worker", max_reject_share=0.5)
    loading.add(make_chunk(bad=1))
    with pytest.raises(TooManyRejectsError, match="1 of 1 lines"):
        loading.add(make_chunk())


def test_rows_of_key_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source = KeyedRows("", "clicks/1")
    loading = Load(SmallBatches(), source, "worker", max_reject_share=0.01)
    loading.add(make_chunk(bad=100))
    loading.add(make_chunk(bad=100))
    with pytest.raises(TooManyRejectsError):
        loading.finish()


def test_limit_of_refusals_counts_rejects_before() -> None:
    limits: list[int] = []

    class LimitedStore(Store):
        def insert_acceptable(
            self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
        ) -> dict[int, Refusal]:
            limits.append(limit)
            return super().insert_acceptable(number, chunk, limit, check)

    loading = Load(LimitedStore(), VERSION, "worker", max_reject_share=0.5)
    loading.add(make_chunk("refused", *["anna"] * 6, bad=2))
    loading.add(make_chunk(*["anna"] * 7))
    loading.finish()
    # 8 of 16 lines may be bad, 2 are known, then 3
    assert limits == [7, 6]


def test_every_chunk_is_checked_for_hope() -> None:
    """Rows of a hopeless batch are not searched for bad ones any further."""
    searched: list[Chunk] = []

    class SearchedStore(Store):
        def insert_acceptable(
            self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
        ) -> dict[int, Refusal]:
            searched.append(chunk)
            return super().insert_acceptable(number, chunk, limit, check)

    loading = Load(SearchedStore(), VERSION, "worker", max_reject_share=0.1)
    for _ in range(3):
        loading.add(make_chunk("refused", "refused"))
    with pytest.raises(TooManyRejectsError):
        loading.finish()
    assert len(searched) == 1
