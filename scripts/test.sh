#!/usr/bin/env bash
# Installs what is missing, then runs all checks. Arguments go to pytest; paths in them are relative
# to the project's root.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup dev
cd "$root"

lint=0
check() {
    printf '$ %s\n' "$*"
    "$venv/bin/$1" "${@:2}" || lint=1
}
check ruff check .
check ruff format --check .
check mypy tvmtiny
if ((lint)); then
    printf 'a check above failed: the tests run, but this script will fail\n'
fi

tests=0
printf '$ %s\n' "pytest -n auto $*"
"$venv/bin/python" -m pytest -n auto "$@" || tests=$?
exit $((tests ? tests : lint))
