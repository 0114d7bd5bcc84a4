# Sourced by the scripts, from the top folder: makes a virtual environment and installs into it.

find_python() {
    for python in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v $python >/dev/null &&
            $python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo $python
            return
        fi
    done
    echo "This needs Python 3.11 or newer; on Debian: sudo apt-get install python3 python3-venv" >&2
    return 1
}

# environment FOLDER REQUIREMENT: install REQUIREMENT into FOLDER, unless this pyproject.toml's is.
environment() {
    installed="$1/installed$(printf %s "$2" | tr -c a-z -)"
    if cmp -s pyproject.toml "$installed"; then
        return
    fi
    echo "Setting up $1 (a minute or two the first time) ..." >&2
    if ! "$1/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        if ! $python -m venv --clear "$1" >/dev/null; then
            rm -rf "$1"
            echo "Python's venv is missing; on Debian: sudo apt-get install python3-venv" >&2
            exit 1
        fi
    fi
    if ! "$1/bin/python" -m pip install -qq --disable-pip-version-check --editable "$2"; then
        echo "Installing failed, as said above; the packages come over the network." >&2
        exit 1
    fi
    cp pyproject.toml "$installed"
}
