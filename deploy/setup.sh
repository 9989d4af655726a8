#!/bin/sh
# Makes the environment of a checkout; make calls it. $1: its folder. PYTHON: what a new one is made of.
# TORCH_INDEX: address of the package index that torch is taken from, else pip's own. TORCH_CPU_INDEX: the same for
# machines without an NVIDIA driver only, if it can be reached. WHEELS: a folder that deploy/wheels.sh has filled, for a
# machine without a network. EXTRAS: the parts that are installed, such as embedded,worker to serve and no more.
set -eu
venv=$1
say() { printf 'mmml: %s\n' "$*" >&2; }
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

require_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    found=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo 'not there')
    say "Python 3.11 or newer is needed, and $1 is $found. $2 Nothing was downloaded."
    exit 1
}

use_wheels() {
    set -- "$WHEELS"/*.whl
    if ! [ -e "$1" ]; then
        say "There are no wheels in $WHEELS. Fill it where there is a network: make wheels. Nothing was installed."
        exit 1
    fi
    # By the environment, as pip builds packages with further ones.
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$(cd "$WHEELS" && pwd)
    export PIP_NO_INDEX PIP_FIND_LINKS
    unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL TORCH_INDEX
}

choose_torch() {
    [ -z "${WHEELS:-}" ] || return 0
    [ -z "${TORCH_INDEX:-}" ] || return 0
    [ "$(uname -sm)" = 'Linux x86_64' ] || return 0  # elsewhere torch comes without CUDA
    [ ! -e /proc/driver/nvidia/version ] && ! command -v nvidia-smi >/dev/null || return 0
    if [ -n "${TORCH_CPU_INDEX:-}" ]; then
        if "$venv/bin/python" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' \
            "${TORCH_CPU_INDEX%/}/torch/" 2>/dev/null; then
            TORCH_INDEX=$TORCH_CPU_INDEX
            say 'There is no NVIDIA driver here, so torch for the CPU is installed.'
            return 0
        fi
        say "There is no NVIDIA driver here, but $TORCH_CPU_INDEX can't be reached, so torch comes with CUDA."
    else
        say 'There is no NVIDIA driver here. Torch comes with CUDA all the same, which works and takes 4 GB more than'
        say 'needed. To avoid that, stop now (Ctrl-C) and run: make serve TORCH_INDEX=ADDRESS, with the address of the'
        say 'index for CPU from https://pytorch.org/get-started/locally.'
    fi
}

[ -z "${WHEELS:-}" ] || use_wheels
newer='with a newer one: make serve PYTHON=python3.12.'
if [ -x "$venv/bin/python" ]; then
    require_python "$venv/bin/python" "Run make clean, then make the environment again $newer"
else
    require_python "${PYTHON:-python3}" "Install one, then run make $newer"
    "${PYTHON:-python3}" -m venv "$venv"
fi
choose_torch
size='6.5 GB with CUDA (du -sh .venv), most of it torch'
[ -z "${TORCH_INDEX:-}" ] || size='gigabytes'
say "Installing into $venv, which becomes as large as $size. A step that fails can be repeated: make setup"
pip uninstall -qq -y mmml  # of earlier checkouts: service and client in one
# A torch index has few versions of what torch needs; the second line brings those to the constraints, too.
if [ -n "${TORCH_INDEX:-}" ]; then
    pip install --index-url "$TORCH_INDEX" 'torch>=2.9,<3' 'torchvision>=0.24'
else
    pip install -c constraints.txt 'torch>=2.9,<3' 'torchvision>=0.24'
fi
pip install -c constraints.txt -e ./client -e ".[${EXTRAS:-embedded,worker,train,otel,dev}]"
