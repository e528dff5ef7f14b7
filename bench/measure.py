"""What is measured, and how: CPU of an engine and everything it starts, proportional memory, the whole machine's CPU."""
import os
import re

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def stat(pid):
    """(name, ppid, own CPU seconds, CPU seconds of its ended children)"""
    with open(f"/proc/{pid}/stat") as f:
        text = f.read()
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    own, children = (int(fields[11]) + int(fields[12])) / TICK, (int(fields[13]) + int(fields[14])) / TICK
    return name, int(fields[1]), own, children


def engine_cpu(ignored):
    """CPU seconds of every process of this pid namespace but the ignored ones, ended ones included: PID 1 is a bare reaper that
    inherits what an engine leaves behind, so only its children's time counts."""
    total = 0
    for pid in processes():
        try:
            _, _, own, children = stat(pid)
        except (OSError, ValueError):
            continue
        if pid not in ignored:
            total += children + (0 if pid == 1 else own)
    return total


def machine_cpu():
    """Busy CPU seconds of the whole machine."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def pss(ignored, names=None):
    """KiB of proportional memory of the engine's processes; processes of the containers (not the engine's programs) do not count."""
    total = 0
    for pid in processes():
        try:
            name = stat(pid)[0]
            if pid == 1 or pid in ignored or name == "sleep":
                continue
            with open(f"/proc/{pid}/smaps_rollup") as f:
                kib = int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
            total += kib
            if names is not None:
                names[name] = names.get(name, 0) + kib
        except (OSError, ValueError, AttributeError):
            continue
    return total


def median(values):
    values = sorted(values)
    n = len(values)
    return values[n // 2] if n % 2 else (values[n // 2 - 1] + values[n // 2]) / 2
