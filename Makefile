# Thin: every habit is a word of ./run, which also installs what is missing.
all:
	@./run build
demo test test-vm test-power bench compare lint fuzz install:
	@./run $@
clean:
	rm -rf build build-asan build-release build-fuzz
.PHONY: all demo test test-vm test-power bench compare lint fuzz install clean
