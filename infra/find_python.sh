#!/usr/bin/env bash
# Prints a Python to build the environment with: 3.13, which Lambda runs, where it works, else any from 3.11 on.
set -eu

works() { "$1" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; }

versions=$( (command -v pyenv >/dev/null 2>&1 && pyenv root) || echo "$HOME/.pyenv")/versions
for python in python3.13 "$versions"/3.13*/bin/python3.13 python3.12 "$versions"/3.12*/bin/python3.12 python3.14 python3.11 python3 python; do
  if works "$python"; then command -v "$python"; exit 0; fi
done
echo "No Python from 3.11 on with venv was found. Install one (Debian: apt-get install python3-venv) and try again." >&2
exit 1
