#!/usr/bin/env bash
# Make .venv hold exactly what requirements-dev.lock names, the package itself, and the type stubs that mypy needs.
# Quick when nothing changed. PYTHON chooses the interpreter; uv is used when it is on PATH, pip otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
STUBS=.made/stubs
STAMP=$VENV/.setup-done
UNDERWAY=$VENV/.setup-underway

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
modern() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# What the environment was made from. The folder is part of it, because scripts in .venv hold absolute paths.
wanted() { { pwd -P; cat requirements-dev.lock pyproject.toml tools/setup.sh tools/xds_stubs.py; } | cksum; }
is_done() { [ -x $VENV/bin/python ] && [ -d $STUBS ] && [ "$(cat $STAMP 2>/dev/null)" = "$(wanted)" ]; }

is_done && exit 0
mkdir -p .made
# Two set-ups at once would undo each other's work.
exec 9>.made/setup.lock
if command -v flock >/dev/null; then
  flock 9
  is_done && exit 0
fi

UV=$(command -v uv || true)

if [ -n "${PYTHON:-}" ]; then
  modern "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or newer."
else
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if modern "$candidate"; then PYTHON=$candidate; break; fi
  done
  [ -n "${PYTHON:-}" ] || fail "Python 3.11 or newer is needed and $(python3 --version 2>/dev/null || echo 'no python3') was found." \
    "Install a newer one (Debian and Ubuntu: apt install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3."
fi

# An environment that was left half made, was moved, or has lost its interpreter is made anew.
if [ -e $UNDERWAY ] || ! modern $VENV/bin/python || ! grep -qsF "$(pwd -P)/$VENV" $VENV/bin/activate; then
  say "making $VENV with $("$PYTHON" --version)"
  rm -rf $VENV
  if [ -n "$UV" ]; then
    "$UV" venv --quiet --python "$(command -v "$PYTHON")" $VENV
  else
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || fail "$PYTHON has no venv module." \
      "Install it (Debian and Ubuntu: apt install python3-venv) or install uv, then run make setup again."
    "$PYTHON" -m venv $VENV
  fi
fi
rm -f $STAMP
: >$UNDERWAY

with_uv() {
  say "installing the locked packages with uv"
  # As pip does, trust what the machine trusts; and use the interpreter that is there.
  export VIRTUAL_ENV=$PWD/$VENV UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_PYTHON_DOWNLOADS=never
  "$UV" pip sync --quiet --require-hashes requirements-dev.lock && rm -f $UNDERWAY &&
    "$UV" pip install --quiet --no-deps --no-build-isolation -e .
}

with_pip() {
  say "installing the locked packages with pip (a minute or so the first time)"
  local pip=("$PWD/$VENV/bin/python" -m pip --disable-pip-version-check --quiet)
  # An environment made by uv holds no pip.
  "${pip[@]}" --version >/dev/null 2>&1 || $VENV/bin/python -m ensurepip >/dev/null
  "${pip[@]}" install --require-hashes -r requirements-dev.lock
  rm -f $UNDERWAY
  "${pip[@]}" install --no-deps --no-build-isolation -e .
}

if [ -z "$UV" ]; then
  with_pip
elif ! with_uv; then
  # Only pip reads pip.conf, where a mirror or a proxy may be named.
  say "uv could not; trying pip"
  with_pip
fi

say "writing type stubs for the Envoy API"
$VENV/bin/python tools/xds_stubs.py $STUBS
wanted >$STAMP
say "done"
