# shellcheck shell=bash
# Sourced by ./demo and ./check, in the repository's root: how .venv comes to hold exactly what a lock file says.

# Print a Python that can make the environment: 3.11 to 3.13, with ensurepip. Each is run, since a name on PATH may be
# a shim without an interpreter behind it.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    return 1
}

# The root is part of it: an environment does not survive being moved.
fingerprint() {
    { pwd && cat "$@"; } | cksum
}

is_current() { # STAMP FILE...
    local stamp=$1
    shift
    [[ -f $stamp && $(<"$stamp") == "$(fingerprint "$@")" ]]
}

is_usable() {
    is_current .venv/.lock-run requirements.lock &&
        { [[ ! -f .venv/.lock-dev ]] || is_current .venv/.lock-dev requirements-dev.lock; } &&
        .venv/bin/python -c ''
}

# `ensure_environment run` installs requirements.lock, `ensure_environment dev` requirements-dev.lock, which contains
# the other; both then install this tree, editable, and compile the gateway where there is a C compiler. Does nothing
# when nothing changed. A changed lock gets a new environment, so that no package stays which the lock does not name.
ensure_environment() {
    local wanted=$1 lock=requirements.lock python
    local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install -qq --no-deps)
    [[ $wanted == dev ]] && lock=requirements-dev.lock

    if ! is_usable 2>/dev/null; then
        if ! python=$(find_python); then
            echo "Faregate needs Python 3.11, 3.12 or 3.13 with venv. Install it and run this again" \
                "(on Debian, as root: apt-get install python3 python3-venv)." >&2
            return 1
        fi
        echo "Setting up .venv ($("$python" -V); this is done once, and takes about half a minute)." >&2
        rm -rf .venv
        "$python" -m venv .venv || return
    fi
    if ! is_current ".venv/.lock-$wanted" "$lock"; then
        rm -f .venv/.project
        "${pip[@]}" --require-hashes -r "$lock" || return
        fingerprint requirements.lock >.venv/.lock-run
        fingerprint "$lock" >".venv/.lock-$wanted"
    fi
    if ! is_current .venv/.project pyproject.toml; then
        # The build backend is in the lock: nothing is fetched that has no hash.
        "${pip[@]}" --no-build-isolation --editable . || return
        fingerprint pyproject.toml >.venv/.project
    fi
    build_pages
    # Says so itself where it cannot; what is not compiled runs from its sources.
    .venv/bin/python scripts/compile.py || return 0
}

has_node() {
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null
}

# Build what the browser loads. Without Node.js the pages work all the same, unstyled.
build_pages() {
    local sources=(web/package-lock.json web/build.mjs web/faregate.css web/faregate.js web/icon.svg)
    local built=src/faregate/apps/web/static
    [[ -f $built/manifest.json ]] && is_current .venv/.pages "${sources[@]}" && return
    if ! has_node; then
        echo "Pages stay without style: Node.js 20 or newer with npm is missing" \
            "(on Debian, as root: apt-get install nodejs npm)." >&2
        return
    fi
    if (cd web && npm ci --silent && node build.mjs); then
        fingerprint "${sources[@]}" >.venv/.pages
    else
        echo "Pages stay without style: npm could not build web/ (see above)." >&2
    fi
}
