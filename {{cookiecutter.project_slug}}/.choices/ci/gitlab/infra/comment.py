"""Tells a merge request what a deploy would change: one note, renewed each time."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3

TITLE = "### What a deploy would change"
LIMIT = 500_000  # characters; GitLab takes 1,000,000 of a note at most


def main() -> int:
    """Tell; return the exit code."""
    number = os.environ.get("CI_MERGE_REQUEST_IID")
    if not number:
        print("There is no merge request to tell: the plan is in the file alone.")
        return 0
    plan = Path(sys.argv[1]).read_text(encoding="utf-8")
    text = {"body": body(plan)}
    notes = f"projects/{os.environ['CI_PROJECT_ID']}/merge_requests/{number}/notes"
    for note in pages(notes):
        if note["body"].startswith(TITLE):
            ask("PUT", f"{notes}/{note['id']}", text)
            return 0
    ask("POST", notes, text)
    return 0


def body(plan: str) -> str:
    """Return the note on a plan, whose end is kept where it is too long."""
    cut = f"… {len(plan) - LIMIT:,} characters more\n" if len(plan) > LIMIT else ""
    return f"{TITLE}\n\n~~~~\n{cut}{plan[-LIMIT:]}\n~~~~\n"


def pages(path: str) -> Iterator[Any]:
    """Yield the entries of all pages."""
    page = 1
    while found := ask("GET", f"{path}?per_page=100&page={page}"):
        yield from found
        page += 1


def ask(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    """Return what the API answers.

    Raises:
        SystemExit: it refuses.
    """
    token = os.environ.get("GITLAB_TOKEN") or sys.exit("GITLAB_TOKEN must be set.")
    answer = urllib3.request(
        method,
        f"{os.environ['CI_API_V4_URL']}/{path}",
        headers={"PRIVATE-TOKEN": token},
        json=content,
        timeout=30,
    )
    if answer.status >= 400:
        sys.exit(f"GitLab refuses to {method} {path}: {answer.status} {answer.reason}")
    return answer.json()


if __name__ == "__main__":
    sys.exit(main())
