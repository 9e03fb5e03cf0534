# Makes a machine ready, and leaves alone what is right already. The commands in scripts/ source it.
#
#   install_packages PURPOSE…   Debian packages for these purposes (scripts/debian-packages)
#   install_environment         .venv (or $MUSTSHARE_VENV), exactly what requirements/development.txt pins
#   install_wheel               the built wheel of this tree into .venv
#   install_peers               the npm packages that tests/peers compares with
#
# Each says what it does, returns non-zero when it could not, and has said then why and what to do.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${MUSTSHARE_VENV:-$ROOT/.venv}
CACHE=$ROOT/.cache
LOCK=$ROOT/requirements/development.txt
PACKAGES=(keys dropbox journalist_station onion_config)

mkdir -p "$CACHE"
unset PYTHONPATH PYTHONHOME  # Neither may put another tree before the installed wheel.
export PATH="$VENV/bin:$PATH:/usr/sbin:/sbin"  # Debian keeps tor where only root's PATH looks.
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; return 1; }

suitable_python() {
    "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        # A virtual environment's own Python would vanish when .venv is made anew.
        candidate=$(type -ap "$candidate" | grep -vxF "$VENV/bin/$candidate" | head -n 1)
        if [[ $candidate ]] && suitable_python "$candidate"; then
            say "$candidate"
            return
        fi
    done
    return 1
}

machine_has() {
    case $1 in
        python) find_python >/dev/null ;;
        /*) [[ -e $1 ]] ;;
        *) type -P "$1" >/dev/null ;;
    esac
}

missing_packages() {
    local purpose package proof
    while read -r purpose package proof; do
        if [[ " $* " == *" $purpose "* ]] && ! machine_has "$proof"; then
            say "$package"
        fi
    done < <(grep -v '^#' "$ROOT/scripts/debian-packages")
}

may_install() { ((EUID == 0)) || sudo -n true 2>/dev/null; }

install_packages() {
    local missing as_root=() install
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} == 0)); then
        say "Debian packages: all there."
        return
    fi
    install="apt-get install --yes --no-install-recommends ${missing[*]}"
    if ! type -P apt-get >/dev/null; then
        fail "this machine lacks: ${missing[*]}" "it isn't a Debian: install what these packages hold, then start again."
        return
    fi
    if ! may_install; then
        fail "this machine lacks: ${missing[*]}" "ask an administrator to run this one command, then start again:

    sudo sh -c 'apt-get update && $install'
"
        return
    fi
    ((EUID == 0)) || as_root=(sudo -n)
    say "Debian packages: installing ${missing[*]} (minutes, on a fresh machine) …"
    if ! "${as_root[@]}" sh -c "
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update; apt-get -q -o DPkg::Lock::Timeout=300 ${install#apt-get }
    " >"$CACHE/apt.log" 2>&1 </dev/null; then
        tail -n 15 "$CACHE/apt.log" >&2
        fail "apt-get could not install: ${missing[*]}" "all it said is in .cache/apt.log."
        return
    fi
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]})); then
        fail "still missing after apt-get ran: ${missing[*]}" "all it said is in .cache/apt.log."
    fi
}

# One at a time: a second command waits here instead of installing into the same folder.
one_at_a_time() {
    (
        flock 9
        "$@" 9>&-
    ) 9>"$CACHE/install.lock"
}

install_environment() { one_at_a_time make_environment; }
install_wheel() { one_at_a_time make_wheel; }
install_peers() { one_at_a_time make_peers; }

# A newsroom that runs (scripts/run) holds this lock: nobody may exchange its programs under it.
unused() {
    [[ ! -e $VENV/in-use ]] || flock --nonblock "$VENV/in-use" true && return
    fail "a newsroom runs with what is installed, and this tree is another by now. Nothing was replaced." \
        "end it with Ctrl-C in its own terminal; or install elsewhere: MUSTSHARE_VENV=FOLDER scripts/${0##*/}"
}

make_environment() {
    local stamp python
    # The folder is part of the stamp, for a virtual environment that was moved or copied doesn't work.
    stamp="$(sha256sum <"$LOCK") $VENV ${PYTHON:-}"
    if [[ $(cat "$VENV/lock.stamp" 2>/dev/null) == "$stamp" ]] && "$VENV/bin/python" -c '' 2>/dev/null; then
        say "Python environment: as locked."
        return
    fi
    if [[ -e $VENV && ! -e $VENV/lock.stamp ]]; then
        fail "$VENV was not made by this project's scripts, so they leave it alone." \
            "move it away, or name another folder: MUSTSHARE_VENV=FOLDER scripts/${0##*/}"
        return
    fi
    if ! python=$(find_python); then
        fail "no Python from 3.11 to 3.13 with its venv module was found." \
            "install Debian's python3-venv, or name another: PYTHON=python3.12 scripts/${0##*/}"
        return
    fi
    unused || return
    say "Python environment: $("$python" --version), as requirements/development.txt locks it …"
    "$python" -m venv --clear "$VENV" && say "unfinished" >"$VENV/lock.stamp" || return
    "$VENV/bin/python" -m pip install --require-hashes --requirement "$LOCK" 2>&1 </dev/null |
        tee "$CACHE/pip.log" | show_count "$(grep -c '^[a-z]' "$LOCK")"
    if ((PIPESTATUS[0])); then
        tail -n 15 "$CACHE/pip.log" >&2
        fail "pip could not install requirements/development.txt." "is there a network? All it said is in .cache/pip.log."
        return
    fi
    say "$stamp" >"$VENV/lock.stamp"
}

# Where somebody watches, counts pip's packages on one line.
show_count() {
    if [[ -t 1 ]]; then
        awk -v all="$1" '/^Collecting /{printf "\r   %d of %d packages", ++n, all; fflush()} END {print ""}'
    else
        cat >/dev/null
    fi
}

make_wheel() {
    local stamp work parts=()
    cd "$ROOT" || return
    mapfile -t parts < <(ls -d setup.cfg pyproject.toml LICENSE README.md scripts/lib/*.py "${PACKAGES[@]}" 2>/dev/null)
    # Neither byte code nor compiled catalogues: both are made, and what is left of a deleted source must not travel.
    stamp=$(find "${parts[@]}" -type f ! -name '*.py[co]' ! -name '*.mo' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    if [[ $(cat "$VENV/wheel.stamp" 2>/dev/null) == "$stamp" ]]; then
        say "Wheel: installed as this tree has it."
        return
    fi
    unused || return
    say "Wheel: building and installing it …"
    rm -f "$VENV/wheel.stamp"
    work=$(mktemp -d) || return
    # In a copy, for setuptools builds beside the sources and would pack what an earlier build left there.
    if tar --exclude=__pycache__ --exclude='*.mo' -cf - "${parts[@]}" | tar -xf - -C "$work" &&
        "$VENV/bin/python" -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir "$work/wheel" "$work" &&
        rm -rf "$CACHE/wheel" && mv "$work/wheel" "$CACHE/wheel" &&
        "$VENV/bin/python" -m pip install --no-index --no-deps --force-reinstall "$CACHE"/wheel/*.whl; then
        say "$stamp" >"$VENV/wheel.stamp"
    fi >"$CACHE/wheel.log" 2>&1 </dev/null
    rm -rf "$work"
    if [[ ! -f $VENV/wheel.stamp ]]; then
        tail -n 15 "$CACHE/wheel.log" >&2
        fail "the wheel could not be built." "all that was said is in .cache/wheel.log."
    fi
}

make_peers() {
    local folder=$ROOT/tests/peers stamp
    stamp=$(sha256sum <"$folder/package-lock.json") || return
    if [[ $(cat "$folder/node_modules/lock.stamp" 2>/dev/null) == "$stamp" ]]; then
        say "Test peers: as locked."
        return
    fi
    say "Test peers: npm ci …"
    if ! (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund) >"$CACHE/npm.log" 2>&1 </dev/null; then
        tail -n 15 "$CACHE/npm.log" >&2
        fail "npm could not install tests/peers." "is there a network? All it said is in .cache/npm.log."
        return
    fi
    say "$stamp" >"$folder/node_modules/lock.stamp"
}
