#!/usr/bin/env bash
# Write requirements.lock (what Trilithon needs) and requirements-dev.lock (and what its development needs):
# every version with its hashes, for all platforms, naming no registry. UPGRADE=1 takes the newest versions.
set -euo pipefail
cd "$(dirname "$0")/.."

UV=$(command -v uv || true)
if [ -z "$UV" ]; then
  UV=.made/uv/bin/uv
  if [ ! -x $UV ]; then
    echo "lock: uv is not on PATH; installing it into .made/uv"
    "${PYTHON:-python3}" -m venv --clear .made/uv
    .made/uv/bin/python -m pip --disable-pip-version-check --quiet install uv
  fi
fi

# As pip does, trust what the machine trusts.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

compile() {
  local lock=$1
  shift
  echo "lock: $lock"
  "$UV" pip compile pyproject.toml "$@" ${UPGRADE:+--upgrade} --quiet --universal --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file "$lock"
  # Whoever installs chooses the registry.
  if grep -n '://' "$lock"; then
    echo "lock: $lock names an address" >&2
    exit 1
  fi
}

compile requirements.lock
compile requirements-dev.lock --group dev
