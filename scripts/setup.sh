#!/bin/sh
# Builds .venv from requirements.lock and installs the checkout into it; does nothing when it is current.
# PYTHON names the interpreter to use (default: the newest supported one on PATH).
set -eu
cd "$(dirname "$0")/.."

refuse() {
    echo "GlanceDB: $1" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || refuse "$PYTHON is not Python 3.11 to 3.14. Install one (Debian: apt-get install python3 python3-venv)."
else
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            PYTHON=$candidate
            break
        fi
    done
    [ -n "${PYTHON:-}" ] || refuse "no Python 3.11 to 3.14 found. Install one (Debian: apt-get install python3 python3-venv)."
fi
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    refuse "$PYTHON has no ensurepip, so it cannot make a virtual environment. Install it (Debian: apt-get install python3-venv)."

stamp=.venv/.stamp
wanted=$("$PYTHON" - requirements.lock pyproject.toml clients/python/pyproject.toml <<'PY'
import hashlib, os, sys
digest = hashlib.sha256(repr((sys.version, os.path.realpath("."))).encode())
for name in sys.argv[1:]:
    digest.update(open(name, "rb").read())
print(digest.hexdigest())
PY
)
[ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ] && exit 0

echo "setting up .venv with $("$PYTHON" --version)"
rm -rf .venv
"$PYTHON" -m venv .venv
pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install --require-hashes --requirement requirements.lock
$pip install --no-deps --no-build-isolation --editable clients/python --editable .
echo "$wanted" >"$stamp"
