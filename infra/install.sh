#!/usr/bin/env bash
# Installs a requirements file into the environment of the given Python, with pip's options after it, saying what is
# fetched: a silent minute looks like a hang. Pip's remarks on the set-up of this machine are left out, its errors are not.
set -eu -o pipefail

python=$1 requirements=$2
shift 2
echo "Installing $requirements ..."
"$python" -m pip install --disable-pip-version-check --progress-bar off -r "$requirements" "$@" 2> >(grep -v '^WARNING' >&2) |
  while read -r word name _; do
    case $word in
      Collecting) echo "  $name" ;;
      Installing) echo "  unpacking ..." ;;
    esac
  done
