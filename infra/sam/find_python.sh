#!/usr/bin/env bash
# Prints a Python 3.13, the version that Lambda runs: `sam build` installs and compiles with it and takes no other.
set -eu

works() { "$1" -c "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))" >/dev/null 2>&1; }

versions=$( (command -v pyenv >/dev/null 2>&1 && pyenv root) || echo "$HOME/.pyenv")/versions
for python in python3.13 "$versions"/3.13*/bin/python3.13 python3 python; do
  if works "$python"; then command -v "$python"; exit 0; fi
done
cat >&2 <<'END'
Building for Lambda needs Python 3.13 with venv, and none was found. Install it and try again, for instance with
  pyenv install 3.13     or     uv python install 3.13     or     brew install python@3.13
Everything else (make run, make test) works with any Python from 3.11 on.
END
exit 1
