#!/usr/bin/env python3
"""The rule of who includes whom, read from the table in docs/ARCHITECTURE.md and checked against sources and binaries.

Usage: include_rows.py [BUILDDIR]
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = {"hoyd": "hoyd", "shim": "hoy-shim", "worker": "hoy-worker", "runtime": "hoy-runtime", "cli": "hoy"}

# which modules may include a library's headers; the programs that may link it follow from the table
LIBRARIES = {
    "json-c": (r"json-c/|json\.h", {"json"}, r"libjson-c"),
    "SQLite": (r"sqlite3\.h", {"db"}, r"libsqlite3"),
    "libseccomp": (r"seccomp\.h", {"plan"}, r"libseccomp"),
    "libmnl, libnftnl": (r"libmnl/|libnftnl/", {"netlink"}, r"libmnl|libnftnl"),
    "compression": (r"zlib\.h|zstd\.h|lzma\.h|isa-l|igzip", {"archive", "worker"}, r"libz\.|libzstd|liblzma|libisal"),
    "OpenSSL": (r"openssl/", {"archive", "worker", "registry"}, r"libssl|libcrypto"),
    "libcurl": (r"curl/", {"worker", "registry"}, r"libcurl"),
    "libarchive": (r"archive\.h|archive_entry\.h", {"worker", "registry"}, r"libarchive"),
}
LIBC_ONLY = {"act", "shim", "proc", "stream", "logfile", "base"}


def table():
    rows = {}
    for line in (ROOT / "docs/ARCHITECTURE.md").read_text().splitlines():
        m = re.match(r"\| (\d+) \| (\w+) \| .* \| ([\w, ]+) \|$", line)
        if m:
            programs = set(PROGRAM) if m[3] == "all" else set(m[3].split(", "))
            assert programs <= set(PROGRAM), f"unknown program in the row of {m[2]}: {m[3]}"
            rows[m[2]] = (int(m[1]), programs)
    assert len(rows) > 5, "docs/ARCHITECTURE.md has no table of modules"
    return rows


def check_sources(rows):
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    yield from (f"src/{m}: not in the table of docs/ARCHITECTURE.md" for m in sorted(folders - set(rows)))
    yield from (f"docs/ARCHITECTURE.md: module {m} does not exist" for m in sorted(set(rows) - folders))
    for path in sorted((ROOT / "src").glob("*/*.[ch]")):
        module, where = path.parent.name, path.relative_to(ROOT)
        if module not in rows:
            continue
        is_test = path.name.startswith(("test_", "fuzz_"))
        for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not m:
                continue
            name = m[2]
            if m[1] == '"' and "/" in name:
                other = name.split("/")[0]
                if other in rows and other != module and rows[other][0] >= rows[module][0]:
                    yield f"{where}:{n}: {module} (row {rows[module][0]}) includes {other} (row {rows[other][0]})"
                if module == "engine" and other == "api":
                    yield f"{where}:{n}: engine includes api"
                if other in rows and other != module and not is_test and name.count("/") == 1 and not is_public(name):
                    yield f"{where}:{n}: {name} is a private header"
            if m[1] == "<" and not is_test:
                for library, (pattern, owners, _) in LIBRARIES.items():
                    if re.match(pattern, name) and module not in owners:
                        yield f"{where}:{n}: {library} belongs to {', '.join(sorted(owners))}"


def is_public(name):
    return not re.search(r"/(internal|private)\.h$", name)


def needed(path):
    out = subprocess.run(["readelf", "-dlW", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", out), "INTERP" in out


def check_programs(rows, build):
    for short, name in PROGRAM.items():
        path = build / "programs" / name
        if not path.exists():
            continue
        libraries, has_interpreter = needed(path)
        mine = {m for m, (_, programs) in rows.items() if short in programs}
        for so in libraries:
            for library, (_, owners, pattern) in LIBRARIES.items():
                if re.match(pattern, so) and not owners & mine:
                    yield f"{name} links {so}: {library} belongs to {', '.join(sorted(owners))}, and none of them is in {name}"
        if short == "shim" and (has_interpreter or libraries):
            yield f"{name} is not static: {libraries}"


def main():
    rows = table()
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build")
    problems = [*check_sources(rows), *check_programs(rows, build)]
    print("\n".join(problems) if problems else f"rows: {len(rows)} modules include only what stands above them")
    return 1 if problems else 0


sys.exit(main())
