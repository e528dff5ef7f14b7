#!/usr/bin/env python3
"""Adds up the JUnit files of meson and pytest: reasons of skips, names of failures, one closing line.

Usage: summary.py RC BUILDDIR...   RC is non-zero when a runner itself ended badly, which is a failure even if no test says so.
"""
import collections
import pathlib
import sys
import xml.etree.ElementTree as ET


def cases(files):
    for path in files:
        for case in ET.parse(path).iter("testcase"):
            name = f"{case.get('classname') or path.parent.name}.{case.get('name')}"
            skipped, bad = case.find("skipped"), next((case.find(t) for t in ("failure", "error") if case.find(t) is not None), None)
            if bad is not None:
                yield "failed", name, bad.get("message", "")
            elif skipped is not None:
                yield "skipped", name, skipped.get("message") or "no reason given"
            else:
                yield "passed", name, ""


def main():
    rc, dirs = int(sys.argv[1]), [pathlib.Path(d) for d in sys.argv[2:]]
    files = [f for d in dirs for f in (d / "meson-logs/testlog.junit.xml", d / "journeys.xml") if f.exists()]
    count, reasons = collections.Counter(), collections.Counter()
    for kind, name, text in cases(files):
        count[kind] += 1
        if kind == "skipped":
            reasons[text] += 1
        if kind == "failed":
            print(f"failed: {name}: {text.splitlines()[0] if text else ''}"[:300])
    for text, n in reasons.most_common():
        print(f"skipped {n}: {text}")
    if rc and not count["failed"]:
        print("failed: a test runner ended badly without naming a test (see above)")
        count["failed"] += 1
    if not count["passed"]:
        print("failed: no test passed")
        count["failed"] += 1
    print(f"test: {count['passed']} passed, {count['skipped']} skipped (reasons above), {count['failed']} failed")
    return 1 if count["failed"] else 0


sys.exit(main())
