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

what=${1:-all}
[ $# -gt 0 ] && shift
case $what in
all | smoke) part smoke "bash tests/vm/smoke.sh $*" ;;
esac
case $what in
all | unit) part unit "bash tests/vm/unit.sh $*" ;;
esac
case $what in
all | smoke | unit) ;;
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
