#!/bin/bash
# unit.sh [NAME...] - runs inside the guest: unit tests of the modules that talk to the kernel, where the kernel is Debian 12's and cgroups
# are v2. One line per test program; what cmocka skipped is said with its reason.
set -u
cd /tmp || exit
good=0 bad=0 skipped=0
chosen=${*:-act_run act_mounts act_cgroup act_exec act_identity proc netlink net net_files relay shim journal store volume db}
for name in $chosen; do
	program=$(find /host/build/src -name "test_$name" -type f | head -n 1)
	[ -n "$program" ] || {
		echo "skip  $name: not built"
		skipped=$((skipped + 1))
		continue
	}
	start=$SECONDS
	case $name in shim) set -- /host/build/programs/hoy-shim ;; *) set -- ;; esac
	HOY_WORKER=/host/build/programs/hoy-worker timeout 400 "$program" "$@" >/tmp/unit.log 2>&1
	rc=$?
	tests=$(grep -c '^\[       OK \]' /tmp/unit.log)
	if [ $rc = 0 ]; then
		good=$((good + 1))
		echo "ok    $name: $tests tests ($((SECONDS - start)) s)"
	else
		bad=$((bad + 1))
		echo "FAIL  $name (status $rc)"
		grep -vE '^\[( RUN|       OK|  SKIPPED) |^skipped' /tmp/unit.log | tail -n 20 | sed 's/^/      | /'
	fi
	grep -iE '^skipped: ' /tmp/unit.log | sort | uniq -c | sed 's/^ *\([0-9]*\) skipped:/skip    \1 of them:/'
	skipped=$((skipped + $(grep -ciE '^skipped: ' /tmp/unit.log)))
done
echo
echo "unit: $good programs ok, $bad failed, $skipped tests skipped"
[ $bad = 0 ]
