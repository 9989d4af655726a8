#!/bin/sh
# Fills a folder with the wheels of all that deploy/setup.sh installs, for machines without a network that have the same
# Python and kind of processor; make wheels calls it. $1: the folder. PYTHON, EXTRAS, TORCH_INDEX: as in deploy/setup.sh.
# Wheels of torch and torchvision that lie in the folder already are the ones that are meant.
set -eu
folder=$1
pip() { "${PYTHON:-python3}" -m pip --disable-pip-version-check "$@"; }
torch_wheels() { find "$folder" -name 'torch-*.whl' -o -name 'torchvision-*.whl'; }

mkdir -p "$folder"
if [ -n "${TORCH_INDEX:-}" ] && [ -z "$(torch_wheels)" ]; then
    pip wheel -w "$folder" --index-url "$TORCH_INDEX" 'torch>=2.9,<3' 'torchvision>=0.24'
fi
# shellcheck disable=SC2046  # a path a line
pip wheel -w "$folder" --find-links "$folder" -c constraints.txt $(torch_wheels) 'torch>=2.9,<3' 'torchvision>=0.24' \
    'setuptools>=77' ./client ".[${EXTRAS:-embedded,worker,train,otel,dev}]"
rm -rf "$folder"/mmml_*.whl build client/build  # the checkout itself is installed
printf 'mmml: %s has %s wheels. Copy it beside the checkout, then: make serve WHEELS=%s\n' "$folder" \
    "$(find "$folder" -name '*.whl' | wc -l)" "$folder" >&2
