#!/bin/bash
# Functions of floats, those of the build in $1: against MPFR, once as they are and once without their first steps; and
# their constants.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/../.." || exit 1
source tests/tools.sh
shown=$dir/out
counted() { # NAME COMMAND...
  timeout 300 "${@:2}" >"$shown" 2>&1
  verdict $? "$1"
}
counted constants tests/math/tables.py
if [ -x "$build/nearest" ]; then
  counted 'the nearest floats' "$build/nearest" 40000
  counted 'the nearest floats, by the second step' "$build/nearest-unsure" 10000
else
  echo 'skipped: there is no MPFR (libmpfr-dev) to compare with'
fi
finish
