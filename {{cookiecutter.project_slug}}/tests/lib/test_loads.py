"""Loads: the latest state of an object, and files with too many bad lines."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lib.chunks import Chunk
from lib.events import S3Object
from lib.loads import Claim, Load, OtherVersion, TooManyRejectsError
from lib.rejects import Refusal, Reject
from tests.mock.aws import object_response
from tests.mock.rds import MockRds, MockStore
from tests.tables import for_each

VERSION = S3Object("raw", "a.csv", version="v1", etag="e1")
STATE = S3Object("raw", "a.csv", etag="e1")


class Store(MockStore):
    """A store whose ledger has other versions of the object.

    `deleted` has the numbers of loads whose rows were deleted.
    """

    def __init__(self, ages: tuple[int, ...] = (), is_new: bool = True) -> None:
        super().__init__(MockRds(), "clicks")
        self._ages = ages
        self._is_new = is_new
        self.deleted: list[int] = []

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """Return the claim that the test asks for."""
        return Claim(1, self._is_new)

    def other_versions(self, number: int) -> list[OtherVersion]:
        """Return the ages that the test asks for, numbered from 10."""
        return [OtherVersion(10 + at, age) for at, age in enumerate(self._ages)]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """Note the numbers."""
        self.deleted += numbers


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
