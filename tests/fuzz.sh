#!/bin/sh
# ./run fuzz [SECONDS]: builds the fuzzers with clang and runs each for SECONDS (30). What they find stays in build-fuzz/found;
# inputs that reach new code go to build-fuzz/corpus, to be picked into src/<module>/corpus by hand.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-30}
case $seconds in
'' | *[!0-9]*)
	echo "usage: ./run fuzz [SECONDS]" >&2
	exit 2
	;;
esac
[ -e build-fuzz/build.ninja ] ||
	CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
ninja -C build-fuzz fuzzers >build-fuzz/log || {
	tail -n 20 build-fuzz/log
	exit 1
}
n=0 bad=0
for fuzzer in build-fuzz/tests/fuzz_*; do
	if [ ! -x "$fuzzer" ] || [ -d "$fuzzer" ]; then continue; fi
	name=${fuzzer##*/fuzz_}
	module=${name%%_*}
	corpus=src/$module/corpus/${name#*_}
	new=build-fuzz/corpus/$name
	mkdir -p "$new" "build-fuzz/found/$name"
	set -- "$new"
	[ ! -d "$corpus" ] || set -- "$new" "$corpus"
	if "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="build-fuzz/found/$name/" "$@" >"build-fuzz/$name.log" 2>&1; then
		echo "fuzz: $name: $(awk '/number_of_executed_units/ { print $2 }' "build-fuzz/$name.log") runs, nothing found"
	else
		echo "fuzz: $name: FOUND something: $(ls "build-fuzz/found/$name"), see build-fuzz/$name.log"
		bad=$((bad + 1))
	fi
	n=$((n + 1))
done
[ "$n" -gt 0 ] || {
	echo "fuzz: no fuzzer was built"
	exit 1
}
echo "fuzz: $n fuzzers, $seconds s each, $bad found something"
[ "$bad" = 0 ]
