#!/bin/sh
# Git's pre-commit hook: runs the checks of .pre-commit-config.yaml on what is staged below
# the project. Git starts it in the root of the repository, which may be a directory above
# the project, or a new worktree that has no .venv yet.
PROJECT=$(dirname "$(dirname "$0")")
export PROJECT

git diff --cached --quiet -- "$PROJECT" && exit
make --silent --directory="$PROJECT" .venv/bin/python || exit
if ! [ -w "${XDG_CACHE_HOME:-$HOME/.cache}" ]; then
  export PRE_COMMIT_HOME="$PROJECT/.build/pre-commit"
fi
exec "$PROJECT/.venv/bin/python" -m pre_commit run --config "$PROJECT/.pre-commit-config.yaml"
