#!/bin/sh
# Makes .venv with everything that is pinned in requirements/dev.txt. Does nothing, and says nothing, when it is all there.
#
# The stamp is written last, so an interrupted installation is taken up again; it holds a digest of everything that
# decides what is installed, so that a changed pin installs and an unchanged one does not.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/installed
PLACE=$VENV/place
WANTED=$(git hash-object requirements/dev.txt requirements/install.sh pyproject.toml | tr '\n' ' ')

if [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ] && [ "$(cat "$PLACE" 2>/dev/null)" = "$(pwd -P)" ] &&
    "$VENV/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

# 3.13 first: it is what the functions run on in AWS. A name on the PATH may be a shim of a version that is not
# there, so each candidate is tried, not only looked up.
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_ensurepip() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

python=''
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
    if is_new_enough "$candidate"; then
        [ -n "$python" ] || python=$candidate
        if has_ensurepip "$candidate"; then
            python=$candidate
            break
        fi
    fi
done
if [ -z "$python" ]; then
    echo "productsync needs Python 3.11 or newer, and found none." >&2
    echo "Install one (Debian: apt install python3 python3-venv; macOS: brew install python), or name it: make PYTHON=/path/to/python" >&2
    exit 1
fi

if ! has_ensurepip "$python"; then
    # Debian keeps ensurepip in a package of its own; pip, where there is one, can fill an environment from outside.
    executable=$("$python" -c 'import sys; print(sys.executable)')
    if ! "$python" -m pip --python "$executable" --version >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "Python $version has no ensurepip; installing Debian's package for it (python$version-venv)..." >&2
            apt-get update -qq && apt-get install -y -qq "python$version-venv" >/dev/null
        fi
        if ! has_ensurepip "$python"; then
            echo "Python $version has neither ensurepip nor pip, so nothing can be installed." >&2
            echo "On Debian or Ubuntu: sudo apt install python$version-venv" >&2
            exit 1
        fi
    fi
fi

echo "Setting up $VENV with $("$python" --version) (once; about a minute)..." >&2
rm -f "$STAMP"
# What is there is brought up to date, unless it was copied or moved here, or its Python has gone: its commands would
# start another place's Python.
if [ "$(cat "$PLACE" 2>/dev/null)" != "$(pwd -P)" ] || ! is_new_enough "$VENV/bin/python"; then
    rm -rf "$VENV"
fi
if has_ensurepip "$python"; then
    "$python" -m venv "$VENV"
    pip() { "$VENV/bin/python" -m pip "$@"; }
else
    "$python" -m venv --without-pip "$VENV"
    pip() { "$python" -m pip --python "$VENV/bin/python" "$@"; }
fi
pwd -P > "$PLACE"
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip install -qq --require-hashes -r requirements/dev.txt
pip install -qq --no-deps --no-build-isolation --editable .
printf '%s\n' "$WANTED" > "$STAMP"
