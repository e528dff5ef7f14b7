#!/bin/sh
# make lint: every check runs, each that fails is named at the end. Words choose checks: ./run lint format rows.
set -u
cd "$(dirname "$0")/.." || exit 1
sources=$(git ls-files '*.c' '*.h' 2>/dev/null || true)
[ -n "$sources" ] || sources=$(find src programs tests -name '*.[ch]')
scripts="run .ci/run $(find demo tests bench -name '*.sh')"
chosen=" ${*:-format tidy cppcheck shellcheck codespell rows} "
failed=

check() { # NAME COMMAND...
	name=$1
	shift
	case $chosen in
	*" $name "*) ;;
	*) return ;;
	esac
	echo "== $name"
	"$@" || failed="$failed $name"
}

format() {
	# shellcheck disable=SC2086 # a list of files
	clang-format --dry-run -Werror $sources
}

tidy() { # per file, two at a time; only what the build compiles
	python3 - <<'PY' | xargs -P 2 -n 4 clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build 2>&1 | grep -vE '^[0-9]+ warnings? |^Suppressed|^Use -' || true
import json
print("\n".join(sorted({e["file"] if e["file"].startswith("/") else e["directory"] + "/" + e["file"] for e in json.load(open("build/compile_commands.json")) if "musl" not in e["command"]})))
PY
}
tidy_is_quiet() {
	out=$(tidy)
	[ -z "$out" ] || {
		printf '%s\n' "$out"
		return 1
	}
}

# suppressed: what cppcheck misreads because it does not know the cleanup attribute, and a waiter on the stack that is linked into a queue
cpp() {
	cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --std=c11 -j 2 -Isrc -D_GNU_SOURCE \
		--suppress=missingInclude --suppress=missingIncludeSystem --suppress=memleak --suppress=resourceLeak --suppress=unknownMacro \
		--suppress=legacyUninitvar --suppress=autoVariables --suppress=preprocessorErrorDirective --suppress=syntaxError --suppress=internalAstError --suppress=normalCheckLevelMaxBranches src programs
}

spelling() {
	codespell --quiet-level=2 --skip='*/corpus/*,./build*,./.git,*.svg,./LICENSE' --ignore-words=tests/codespell.words .
}

check format format
check tidy tidy_is_quiet
check cppcheck cpp
# shellcheck disable=SC2086 # a list of files
check shellcheck shellcheck $scripts
check codespell spelling
check rows python3 tests/include_rows.py build

if [ -n "$failed" ]; then
	echo "lint: failed:$failed"
	exit 1
fi
echo "lint: nothing found"
