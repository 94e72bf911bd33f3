#!/bin/sh
# Writes the lock files anew: every requirement, its hashes, for every Python and platform that is supported.
# The lock files name no registry: whichever one pip is configured to use is asked, and the hashes hold whatever it answers.
set -eu
cd "$(dirname "$0")/.."

workdir=$(mktemp -d)
trap 'rm -rf "$workdir"' EXIT
.venv/bin/python -m venv "$workdir"
"$workdir/bin/pip" install --quiet --require-hashes -r requirements/lock.txt

lock() {
    "$workdir/bin/uv" pip compile --quiet --universal --python-version "${oldest:-3.11}" --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' "$@"
}
# dev.txt decides; the others are cuts of it, so that a function runs on AWS with what it was tested with.
lock "$@" requirements/dev.in --output-file requirements/dev.txt
lock --constraints requirements/dev.txt requirements/runtime.in --output-file requirements/runtime.txt
lock --constraints requirements/dev.txt requirements/exports.in --output-file requirements/exports.txt
lock "$@" requirements/lock.in --output-file requirements/lock.txt
# The validator of FOCUS files has an environment of its own (tests/support/focus_validator.py).
oldest=3.12
lock "$@" requirements/focus.in --output-file requirements/focus.txt
if grep -nE '://|--(extra-)?index-url|--find-links' requirements/*.txt; then
    echo "A lock file names a place to install from; it must not." >&2
    exit 1
fi
