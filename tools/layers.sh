#!/usr/bin/env bash
# Check the import contracts of pyproject.toml; speak only when one is broken.
set -euo pipefail
cd "$(dirname "$0")/.."
report=$(.venv/bin/lint-imports --no-logo --cache-dir .made/import-linter 2>&1) || { printf '%s\n' "$report"; exit 1; }
