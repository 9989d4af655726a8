#!/bin/sh
# Installs the lines of requirements files, or a folder, into /opt/mmml. What lies in wheels/ comes first; an index
# is asked for the rest only, so that a full wheels/ needs no network.
#   install.sh FILE          install.sh --no-deps FOLDER
set -eu
PATH=${PATH#/opt/mmml/bin:}  # the image's own Python, which has pip
install() {
    python -m pip --python /opt/mmml/bin/python install --no-cache-dir -q -c constraints.txt --find-links wheels "$@"
}
mkdir -p wheels
test -x /opt/mmml/bin/python || python -m venv --without-pip /opt/mmml
if [ "$1" = --no-deps ]; then
    install --no-index "$@" 2>/dev/null || install "$@"
    exit
fi
ls wheels/*.whl >/dev/null 2>&1 && while IFS= read -r requirement; do
    install --no-index "$requirement" 2>/dev/null || echo "wheels/ has not all of $requirement"
done < "$1"
if [ -n "${TORCH_INDEX:-}" ]; then
    grep '^torch' "$1" | tr '\n' '\0' | xargs -0 python -m pip --python /opt/mmml/bin/python install -q --no-cache-dir \
        --index-url "$TORCH_INDEX"
fi
install -r "$1"
