#!/usr/bin/env bash
# Installs what is missing, then runs a shipped model on an emulated Cortex-M4.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup run

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The path that is shown is the one to copy.
image=$scratch/digit.npy

"$venv/bin/python" "$root/scripts/demo.py" image "$image"
printf '\n$ tvmtiny run digits --board mps2-an386 --input %s --check\n' "$image"
"$venv/bin/tvmtiny" run digits --board mps2-an386 --input "$image" --check
printf '\n'
"$venv/bin/python" "$root/scripts/demo.py" digits
