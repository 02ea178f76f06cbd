#!/bin/sh
# What both recipes do to their base: `install.sh packages cpu|cuda`, then `install.sh suite`.
# Two runs leave the same bytes, given the same lock and source.
set -eu
cd /opt/cifar
venv=/opt/venv

# A proxy's certificate and an index of one's own, where the build is given them.
if [ -s /mnt/pip.conf ]; then export PIP_CONFIG_FILE=/mnt/pip.conf; fi
if [ -s /mnt/ca.crt ]; then export PIP_CERT=/mnt/ca.crt; fi
# Sets in bytecode are ordered by the hash of what is in them; what Python compiles in passing names the time.
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

install() {
    # --no-compile: pip's bytecode names the time at which it was made.
    python3 -m pip --python "$venv/bin/python3" install --quiet --no-cache-dir --no-compile --no-deps "$@"
}

compile() {
    # An image is read-only: what has no bytecode now is compiled in every process, and TensorFlow loads three times
    # as slowly.  Bytecode that names its source by hash is the same at any time.
    "$venv/bin/python3" -m compileall -q --invalidation-mode unchecked-hash "$@"
}

case $1 in
packages)
    # ensurepip would write files that differ each time.
    python3 -m venv --without-pip "$venv"
    install --require-hashes --only-binary :all: -r "containers/requirements-$2.txt"
    compile "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" "$venv"
    ;;
suite)
    # What .dockerignore keeps from Docker, and Apptainer copies.
    rm -rf benchmarks/evidence
    find . -name __pycache__ -prune -exec rm -rf {} +
    # Editable: the benchmarks and the lock stand beside the package, and each record names them.
    install --no-index --no-build-isolation --editable .
    compile cifar benchmarks
    chmod -R a+rX .
    ;;
esac
