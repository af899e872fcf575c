"""Tells a pull request what a deploy would change: one comment, renewed each time."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3

TITLE = "### What a deploy would change"
LIMIT = 60_000  # characters; GitHub takes 65,536 bytes of a comment at most


def main() -> int:
    """Tell; return the exit code."""
    repository, number = pull_request()
    if not number:
        print("There is no pull request to tell: the plan is in the file alone.")
        return 0
    plan = Path(sys.argv[1]).read_text(encoding="utf-8")
    text = {"body": body(plan)}
    comments = f"repos/{repository}/issues/{number}/comments"
    for comment in pages(comments):
        if comment["body"].startswith(TITLE):
            ask("PATCH", f"repos/{repository}/issues/comments/{comment['id']}", text)
            return 0
    ask("POST", comments, text)
    return 0


def body(plan: str) -> str:
    """Return the comment on a plan, whose end is kept where it is too long."""
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
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    token = os.environ.get("GITHUB_TOKEN") or sys.exit("GITHUB_TOKEN must be set.")
    answer = urllib3.request(
        method,
        f"{api}/{path}",
        headers={"Authorization": f"Bearer {token}"},
        json=content,
        timeout=30,
    )
    if answer.status >= 400:
        sys.exit(f"GitHub refuses to {method} {path}: {answer.status} {answer.reason}")
    return answer.json()


def pull_request() -> tuple[str, str]:
    """Return the repository, and the number of the pull request that this is about."""
    kind, number = os.environ["GITHUB_REF"].split("/")[1:3]
    return os.environ["GITHUB_REPOSITORY"], number if kind == "pull" else ""


if __name__ == "__main__":
    sys.exit(main())
