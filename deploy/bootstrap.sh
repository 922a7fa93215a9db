# shellcheck shell=sh
# Sourced by deploy/test and deploy/demo, which set `root` to the checkout first. Leaves the checkout ready to run:
# a Python of at least 3.11 with the pinned dependencies in .venv, and the programs of Postgres and RabbitMQ.

root=${root:?name the checkout before sourcing this}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

usable_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.11 python3.12 python3.13 python3.14; do
        if usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

can_make_venv() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

servers_wanted() {
    [ -z "${KESSAI_DATABASE_URL:-}${KESSAI_DATABASE_URL_FILE:-}" ] || [ -z "${KESSAI_AMQP_URL:-}${KESSAI_AMQP_URL_FILE:-}" ]
}

has_postgres() {
    command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

has_rabbitmq() {
    command -v rabbitmq-server >/dev/null 2>&1 || [ -x /usr/sbin/rabbitmq-server ]
}

# Only the tests need a browser: deploy/test sets with_browser before it sources this.
browser_wanted() {
    [ -n "${with_browser:-}" ]
}

has_browser() {
    command -v chromium >/dev/null 2>&1
}

# The Debian packages of what is missing, one a line.
missing_packages() {
    if ! python=$(find_python); then
        printf 'python3\npython3-venv\n'
    elif [ ! -x "$root/.venv/bin/python" ] && ! can_make_venv "$python"; then
        echo python3-venv
    fi
    if servers_wanted; then
        has_postgres || echo postgresql
        has_rabbitmq || echo rabbitmq-server
    fi
    if browser_wanted; then
        has_browser || echo chromium
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

# Comes before the installation; at a terminal there is time to end the command without a change to the machine.
announce_installation() {
    say "this machine lacks programs that Kessai needs: ${wanted% }"
    say "about to run, as root: apt-get update; apt-get install --yes --no-install-recommends ${wanted% }"
    say "their services may start, as with every installation of them; Kessai uses a private pair in a folder instead"
    if [ -t 2 ]; then
        say "starting in 5 seconds; Ctrl-C ends this without a change to the machine"
        sleep 5
    fi
}

# The exit code of the installation does not decide: where no init system runs, Debian's packages report that they
# could not start their own services. What decides is that the programs exist. Such a service must not inherit our lock.
install_programs() {
    wanted=$(missing_packages | tr '\n' ' ')
    [ -n "$wanted" ] || return 0
    advice="install the packages ${wanted% } (names of Debian and Ubuntu), or use the containers of deploy/compose.yaml"
    may_install || fail "programs are missing on this machine, and apt-get cannot be run as root without a password: $advice"
    announce_installation
    log=$(mktemp)
    {
        as_root apt-get update
        # shellcheck disable=SC2086 # one word a package
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $wanted
    } >"$log" 2>&1 </dev/null 9<&- || say "apt-get ended with an error; continuing if the programs are installed"
    if [ -n "$(missing_packages)" ]; then
        tail -n 20 "$log" >&2
        fail "programs are still missing after apt-get, whose whole output is in $log: $advice"
    fi
    rm -f "$log"
}

venv_stamp() {
    {
        echo "$root"
        cat "$root/pyproject.toml" "$root/requirements-dev.lock"
    } | cksum
}

venv_is_current() {
    [ "$(cat "$root/.venv/kessai-stamp" 2>/dev/null)" = "$(venv_stamp)" ] && usable_python "$root/.venv/bin/python" &&
        [ -x "$root/.venv/bin/kessai" ]
}

# The programs in a .venv name its folder in their first line: it does not survive being moved with its checkout.
venv_is_sound() {
    usable_python "$root/.venv/bin/python" && "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "$root/.venv/bin/" "$root/.venv/bin/pip"
}

# The output of pip is printed only when it fails. Modules are compiled when first used: most never are.
fill_venv() {
    log=$(mktemp)
    if {
        "$root/.venv/bin/python" -m pip install --no-compile --disable-pip-version-check --require-hashes \
            -r "$root/requirements-dev.lock" &&
            "$root/.venv/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
                --editable "$root"
    } >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 5 "$log" >&2
    say "the whole output of pip is in $log"
    return 1
}

make_venv() {
    python=$(find_python) || fail "there is no Python of at least 3.11 here: install one, or name it in PYTHON"
    say "making .venv with $python"
    "$python" -m venv --clear "$root/.venv" || fail "cannot make .venv: on Debian and Ubuntu install python3-venv"
}

# The stamp is written last: a .venv that an interruption left half made has none, and is mended or made anew.
prepare_venv() {
    if venv_is_current; then
        return
    fi
    rm -f "$root/.venv/kessai-stamp"
    venv_is_sound || make_venv
    say "installing the pinned dependencies into .venv (a minute or two)"
    if ! fill_venv; then
        say "the installation failed; trying once more, with an empty .venv"
        make_venv
        fill_venv || fail "the pinned dependencies cannot be installed"
    fi
    venv_stamp >"$root/.venv/kessai-stamp"
}

# Two of these commands at once must not fill one .venv together.
exec 9<"$root"
if command -v flock >/dev/null 2>&1; then
    flock -n 9 || {
        say "waiting for another command that prepares this checkout"
        flock 9
    }
fi
install_programs
prepare_venv
exec 9<&-
