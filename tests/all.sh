#!/bin/sh
# What ./run test does once everything is built: unit tests and journeys of the normal build, then the same under ASan+UBSan.
# Words are handed to pytest (-k ports, tests/test_run.py); HOY_TEST_ONLY=plain|asan takes one half.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
# leaks count in unit tests; programs that exit at once leave their memory to the kernel
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# one folder for all that the journeys leave, so that an interrupted run leaves nothing either
HOY_TEST_DIR=$(mktemp -d /var/tmp/hoyt.XXXXXX)
export HOY_TEST_DIR
chmod 755 "$HOY_TEST_DIR"
trap 'rm -rf "$HOY_TEST_DIR" 2>/dev/null || { sleep 2; rm -rf "$HOY_TEST_DIR"; }' EXIT
trap 'exit 130' INT TERM

half() { # NAME BUILDDIR
	begin=$(date +%s)
	echo "== unit tests ($1)"
	rm -f "$2/meson-logs/testlog.junit.xml" "$2/journeys.xml"
	meson test -C "$2" --no-rebuild --print-errorlogs --timeout-multiplier 3 || failed=1
	echo "== journeys ($1)"
	name=$1 build=$2
	shift 2
	HOY_BUILD=$PWD/$build python3 -m pytest -q -rs -n "${HOY_TEST_JOBS:-2}" -p no:cacheprovider --junit-xml="$build/journeys.xml" \
		--basetemp="$HOY_TEST_DIR/$name" -o junit_suite_name="journeys-$name" "${@:-tests}" || failed=1
	echo "== $name: $(($(date +%s) - begin)) seconds"
}

if [ $# = 0 ]; then
	echo "== the Debian image of the journeys"
	(cd tests && python3 -c 'from harness import images; print(images.debian_rootfs())') || failed=1
fi
case ${HOY_TEST_ONLY:-all} in
plain | all) half plain build "$@" ;;
esac
case ${HOY_TEST_ONLY:-all} in
asan | all) half asan build-asan "$@" ;;
esac
case ${HOY_TEST_ONLY:-all} in
plain) set -- build ;;
asan) set -- build-asan ;;
*) set -- build build-asan ;;
esac
python3 tests/summary.py "$failed" "$@"
