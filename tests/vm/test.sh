#!/bin/bash
# test.sh - what ./run test-vm does after the build: Hoy in the guest of vm.sh. Words choose what runs there (default: smoke unit):
#   smoke [PROMISE...]    smoke.sh, all of it or the promises named
#   unit [SUITE...]       the unit tests of modules that talk to the kernel
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bash "$here/vm.sh" build || exit
started=$SECONDS
failed=

part() { # NAME COMMAND
	echo "== test-vm: $1"
	bash "$here/vm.sh" run -s "$root" "$2" || failed="$failed $1"
}

# Two guests at a time, each with two processors. On a smaller machine one after the other: time limits would be missed.
# The unit tests' words come when the journey is through.
both() { # SMOKE-COMMAND UNIT-COMMAND
	local words unit rc
	words=$(mktemp)
	bash "$here/vm.sh" run -s "$root" "$2" >"$words" 2>&1 &
	unit=$!
	part smoke "$1"
	wait $unit
	rc=$?
	echo "== test-vm: unit"
	cat "$words"
	rm -f "$words"
	[ $rc = 0 ] || failed="$failed unit"
}

what=${1:-all}
[ $# -gt 0 ] && shift
case $what in
all)
	if [ "$(nproc)" -ge 4 ]; then
		both "bash tests/vm/smoke.sh" "bash tests/vm/unit.sh"
	else
		part smoke "bash tests/vm/smoke.sh"
		part unit "bash tests/vm/unit.sh"
	fi
	;;
smoke) part smoke "bash tests/vm/smoke.sh $*" ;;
unit) part unit "bash tests/vm/unit.sh $*" ;;
*)
	sed -n '2,4p' "$0"
	exit 2
	;;
esac
echo
[ -z "$failed" ] || {
	echo "test-vm: FAILED:$failed ($((SECONDS - started)) s)"
	exit 1
}
echo "test-vm: everything passed ($((SECONDS - started)) s)"
