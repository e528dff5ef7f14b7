"""The table, the JSON file and the plots of docs/benchmarks.md, from what bench.py measured."""
import json

ENGINE_ROWS = [  # key, title, unit, goal against docker (text), how
    ("idle_pss_mib", "idle daemon, PSS", "MiB", "≤ 6 MiB"),
    ("per_container_pss_mib", "one more running container, PSS", "MiB", "≤ 0.5 MiB"),
    ("run_rm_engine_cpu_ms", "`run --rm` of a static true: engine CPU", "ms", "≤ 12 ms"),
    ("run_rm_machine_cpu_ms", "… the whole machine's CPU, client included", "ms", ""),
    ("run_rm_cli_cpu_ms", "… of that the docker client", "ms", ""),
    ("run_rm_wall_ms", "… wall, median", "ms", ""),
    ("parallel_starts_per_s", "parallel starts", "per s", "≥ 5 × docker"),
]
RUNTIME_ROWS = [("cpu_ms", "CPU"), ("wall_ms", "wall, median"), ("wall_ms_min", "wall, minimum")]


def number(x):
    return f"{x:.2f}" if x < 10 else f"{x:.0f}" if x >= 100 else f"{x:.1f}"


def table(result):
    m, out = result["machine"], []
    out.append("# Benchmarks\n")
    out.append("Made by `make bench` in one run; every figure has its peer's beside it, measured on the same machine a minute apart. The ratio is what counts.\n")
    out.append(f"Machine: {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, Linux {m['kernel']}, cgroup v{m['cgroup']}, {m['date']}, load average {m['load_before']:.1f} before.\n")
    out.append("Versions: " + "; ".join(f"{k}: {v}" for k, v in m["versions"].items()) + ".\n")
    if result["engines"]:
        e = result["engines"]
        out.append(f"## Engines\n\nn = {result['runs']} runs, {result['containers']} containers. The client is Debian's docker for both.\n")
        out.append("| what | unit | hoy | docker.io | docker.io / hoy | goal |\n|---|---|---|---|---|---|")
        for key, title, unit, goal in ENGINE_ROWS:
            a, b = e["hoy"][key], e["docker"][key]
            ratio = (a / b if key == "parallel_starts_per_s" else b / a) if a and b else 0
            sign = " (hoy / docker.io)" if key == "parallel_starts_per_s" else ""
            out.append(f"| {title} | {unit} | {number(a)} | {number(b)} | {number(ratio)}{sign} | {goal} |")
        out.append("\nEngine CPU is that of the daemon and of everything it started, ended processes and the container's own included (from /proc, not from the container's"
                   " cgroup). PSS leaves out the containers' own processes.\n")
    if result["runtimes"]:
        r = result["runtimes"]
        out.append("## Runtimes\n\n`run` of a static true with the config.json that docker.io writes (default seccomp policy, masked paths; memory, pids and CPU limits,"
                   f" a network namespace of its own), interleaved, n = {result['runs']}.\n")
        out.append("| ms | " + " | ".join(r) + " |\n|---|" + "---|" * len(r))
        for key, title in RUNTIME_ROWS:
            out.append(f"| {title} | " + " | ".join(number(r[x][key]) for x in r) + " |")
    out.append("\n![bars](benchmarks.svg)\n")
    return "\n".join(out)


def plot(result, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hoy"
    import matplotlib.pyplot as plt
    charts = []
    if result["engines"]:
        for key, title, unit, _ in (ENGINE_ROWS[0], ENGINE_ROWS[1], ENGINE_ROWS[2], ENGINE_ROWS[6]):
            charts.append((title.replace("`", ""), unit, {n: result["engines"][n][key] for n in ("hoy", "docker")}))
    if result["runtimes"]:
        charts.append(("runtime: CPU of run", "ms", {n: r["cpu_ms"] for n, r in result["runtimes"].items()}))
        charts.append(("runtime: wall of run", "ms", {n: r["wall_ms"] for n, r in result["runtimes"].items()}))
    figure, axes = plt.subplots(1, len(charts), figsize=(3 * len(charts), 3), squeeze=False)
    for ax, (title, unit, bars) in zip(axes[0], charts):
        ax.bar(list(bars), list(bars.values()), color=["#1f6f8b" if n.startswith("hoy") else "#b0b0b0" for n in bars])
        for i, v in enumerate(bars.values()):
            ax.text(i, v, number(v), ha="center", va="bottom", fontsize=8)
        ax.set_title(title, fontsize=8)
        ax.set_ylabel(unit, fontsize=8)
        ax.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def write(result, folder):
    with open(f"{folder}/benchmarks.json", "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(f"{folder}/benchmarks.md", "w") as f:
        f.write(table(result))
    plot(result, f"{folder}/benchmarks.svg")
