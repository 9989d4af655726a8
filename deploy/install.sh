#!/bin/sh
# Installs into /opt/mmml. What lies in wheels/ comes first; an index is asked for the rest only, so that a full
# wheels/ needs no network.
#   install.sh --require-hashes -r LOCK      install.sh -r FILE      install.sh --no-deps FOLDER …
set -eu
PATH=${PATH#/opt/mmml/bin:}  # the image's own Python, which has pip
pip() { python -m pip --python /opt/mmml/bin/python install --no-cache-dir -q "$@"; }
pinned() { pip -c constraints.txt --find-links wheels "$@"; }
mkdir -p wheels
test -x /opt/mmml/bin/python || python -m venv --without-pip /opt/mmml
if pinned --no-index "$@" 2>/dev/null; then
    exit
fi
echo "not all in wheels/: $*"
if [ -n "${TORCH_INDEX:-}" ]; then
    pip --index-url "$TORCH_INDEX" "$@"  # which has few versions of what torch needs, so no constraints
else
    pinned "$@"
fi
