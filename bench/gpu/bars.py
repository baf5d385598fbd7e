"""The table of bars: ours against eager PyTorch, torch.compile, Helion and the floor of memory or of the matrix
units, each ratio from one run."""
import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from cases import BARS, few, torch
from peri import HERE, ROOT, Failed, Peri, Stopwatch, Trials

PEERS = ("eager", "compile", "helion")


def has_helion():
    return importlib.util.find_spec("helion") is not None


class Measurer:
    def __init__(self, options):
        self.options, self.clock = options, Stopwatch(options.limit)
        self.is_gpu = options.device != "cpu"
        self.folder = tempfile.mkdtemp(prefix="perihelion-bars-")
        self.peri = Peri(options.device, os.path.join(self.folder, "cache"))
        self.bandwidth = self.flops = None
        self.helion_configs = {}
        if options.helion_configs:
            with open(options.helion_configs) as file:
                self.helion_configs = json.load(file)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure_machine(self):
        if torch is None:
            return
        from peers import copy_bytes_per_second, matmul_flops_per_second

        device = self.torch_device()
        self.bandwidth = copy_bytes_per_second(device, self.is_gpu)
        self.flops = matmul_flops_per_second(device, self.is_gpu)

    def torch_device(self):
        return "cuda" if self.is_gpu else "cpu"

    def floor_ms(self, bar):
        if self.bandwidth is None or not self.is_gpu:
            return None
        return max(bar.floor_bytes / self.bandwidth, bar.floor_flops / self.flops) * 1e3

    def args(self, bar):
        return bar.args if self.is_gpu else few(bar)

    def peers_of(self, bar):
        """Name -> call, with the tensors that they share."""
        if torch is None:
            return {}, []
        from peers import compiled
        from tensors import values_of

        values = values_of(self.args(bar), self.torch_device())
        calls = {"eager": lambda: bar.eager(*values)}
        if self.options.compile and bar.compiled:
            try:
                call = compiled(bar.eager, values)
                calls["compile"] = lambda: call(*values)
            except Exception as wrong:  # torch.compile's failures are its own; the row goes on
                print(f"  torch.compile: {type(wrong).__name__}: {str(wrong)[:200]}", flush=True)
        return calls, values

    def ejected(self, bar, config, values):
        """Our Triton module in this process, under the peers' own timer: a cross-check."""
        if torch is None or not self.is_gpu or not self.options.ejected:
            return None
        from peers import module_at

        path = os.path.join(self.folder, f"ejected_{len(os.listdir(self.folder))}.py")
        self.peri.eject(bar.kernel, self.args(bar), config, path)
        module = module_at(path, os.path.basename(path)[:-3])
        return lambda: module.call(*values)

    def helion(self, bar):
        if not self.options.helion or torch is None or not self.is_gpu or not has_helion():
            return {}
        out = os.path.join(self.folder, "helion.json")
        words = [f"{name}={spec}" for name, spec in self.args(bar).items()]
        known = self.helion_configs.get(bar.name)
        env = dict(os.environ, HELION_AUTOTUNE_EFFORT="quick", CONFIG=json.dumps(known) if known else "",
                   HELION_AUTOTUNE_BUDGET_SECONDS=str(int(self.options.helion_seconds)),
                   HELION_CACHE_DIR=os.path.join(self.folder, "helion"))
        target = os.path.join(ROOT, "kernels", bar.kernel)
        command = [sys.executable, os.path.join(HERE, "helion_peer.py"), target, self.torch_device(), out, *words]
        limit = min(self.clock.left() + 30, 2 * self.options.helion_seconds + 90)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=max(limit, 30), env=env)
        except subprocess.TimeoutExpired:
            print("  helion: no answer in time", flush=True)
            return {}
        if done.returncode != 0:
            print(f"  helion: {(done.stderr or done.stdout).strip().splitlines()[-1:]}", flush=True)
            return {}
        with open(out) as file:
            return json.load(file)

    def tune(self, bar, row):
        log = os.path.join(self.folder, f"tune{len(os.listdir(self.folder))}.csv")
        reply = self.peri.tune(bar.kernel, self.args(bar), self.options.budget, log)
        trials = Trials(log)
        row.update(target=reply["target"], config=reply["config"], tune_best_ms=reply["seconds"] * 1e3,
                   tune_default_ms=reply["default_seconds"] * 1e3, tune_seconds=reply["elapsed"],
                   searched=reply["searched"], failures=trials.failures(), seconds_to_3_percent=trials.seconds_to(0.03))
        shutil.copy(log, os.path.join(self.options.out, "tune-" + "".join(
            c if c.isalnum() and c.isascii() else "-" for c in bar.name) + ".csv")) if self.options.logs else None

    def ours_ms(self, bar, config, row=None):
        times = self.peri.run(bar.kernel, self.args(bar), config, timed=True, timeout=180)["time"]
        if row is not None and "host_us" in times:
            row["host_us"] = min(times["host_us"], row.get("host_us", math.inf))
        return times["median_ms"]

    def measure(self, bar, row):
        """Rounds of every peer and ours in turn, after tuning."""
        calls, values = self.peers_of(bar)
        self.tune(bar, row)
        row["config_default"] = None
        try:
            ejected = self.ejected(bar, row["config"], values)
            if ejected:
                calls["ejected"] = ejected
        except Exception as wrong:
            print(f"  ejected: {type(wrong).__name__}: {str(wrong)[:200]}", flush=True)
        samples = {name: [] for name in [*calls, "tuned", "default"]}
        for _ in range(self.options.rounds):
            for name, call in calls.items():
                from peers import median_ms

                samples[name].append(median_ms(call, self.is_gpu))
            samples["tuned"].append(self.ours_ms(bar, row["config"], row))
            samples["default"].append(self.ours_ms(bar, None))
        row["ms"] = {name: statistics.median(times) for name, times in samples.items() if times}
        row["samples_ms"] = samples
        calls.clear()
        values.clear()
        if torch is not None and self.is_gpu:
            torch.cuda.empty_cache()
        helion = self.helion(bar)
        if helion:
            row["ms"]["helion"], row["helion"] = helion["ms"], helion
            row["ms"]["tuned"] = statistics.median([*samples["tuned"], self.ours_ms(bar, row["config"])])

    def row(self, bar):
        row = {"name": bar.name, "kernel": bar.kernel, "args": self.args(bar), "ms": {}, "note": bar.note,
               "peer": bar.peer, "bar": bar.bar, "floor_ms": self.floor_ms(bar)}
        try:
            self.measure(bar, row)
        except Failed as failed:
            row["error"] = str(failed)
        except Exception as wrong:  # of this row alone: the others go on
            row["error"] = f"{type(wrong).__name__}: {wrong}"
        peer = row["floor_ms"] if bar.peer == "floor" else row["ms"].get(bar.peer)
        if peer and "tuned" in row["ms"]:
            row["ratio"] = row["ms"]["tuned"] / peer
        return row


def number(value, digits=4):
    return "—" if value is None else f"{value:.{digits}g}"


def line_of(row):
    ms = row["ms"]
    cells = [number(ms.get(peer)) for peer in PEERS]
    verdict = "—"
    if "error" in row:
        verdict = "failed: " + row["error"].replace("|", "/")[:120]
    elif "ratio" in row:
        verdict = f"{row['ratio']:.3f} × {row['peer']} (≤ {row['bar']:g}) {'met' if row['ratio'] <= row['bar'] else 'NOT MET'}"
    share = ms["tuned"] / ms["default"] if "tuned" in ms and "default" in ms else None
    failed = sum(row.get("failures", {}).values())
    return (f"| {row['name']} | {' | '.join(cells)} | {number(row['floor_ms'])} | {number(ms.get('default'))} | "
            f"{number(ms.get('tuned'))} | {number(ms.get('ejected'))} | {verdict} | {number(share, 3)} | "
            f"{number(row.get('seconds_to_3_percent'), 3)} | {number(row.get('tune_seconds'), 3)} | "
            f"{row.get('searched', '—')}/{failed} |")


def geomean(values):
    return math.exp(statistics.mean(map(math.log, values))) if values else None


def summary(rows):
    """Lines below the table."""
    whole = [row["ms"] for row in rows if "tuned" in row["ms"] and "default" in row["ms"]]
    lines = []
    if whole:
        lines.append(f"default against tuned, geometric mean: {geomean([ms['tuned'] / ms['default'] for ms in whole]):.3f}"
                     f" over {len(whole)} kernels")
    for peer in PEERS:
        ratios = [ms[peer] / ms["tuned"] for ms in whole if peer in ms]
        if ratios:
            lines.append(f"speed-up over {peer}, geometric mean: {geomean(ratios):.3f} over {len(ratios)} kernels")
    times = [row["seconds_to_3_percent"] for row in rows if row.get("seconds_to_3_percent") is not None]
    if times:
        lines.append(f"seconds to within 3 % of the final time, median: {statistics.median(times):.1f}")
    hosts = [row["host_us"] for row in rows if "host_us" in row]
    if hosts:
        lines.append(f"host time of a call from C++: least {min(hosts):.2f} µs, median {statistics.median(hosts):.2f} µs")
    for row in rows:
        reasons = sorted(row.get("failures", {}).items(), key=lambda reason: -reason[1])
        if reasons:
            lines.append(f"failed configs of {row['name']}: " + "; ".join(f"{count}× {reason}" for reason, count in reasons))
    lines += [f"{row['name']}: {row['note']}" for row in rows if row["note"]]
    return lines


def report(measurer, rows, skipped):
    options = measurer.options
    machine = {"device": options.device, "copy_bytes_per_second": measurer.bandwidth,
               "matmul_flops_per_second": measurer.flops, "tune_budget": options.budget, "rounds": options.rounds}
    lines = [f"# Kernels on {options.device}", ""]
    if not measurer.is_gpu:
        lines += ["A rehearsal: every row at the small sizes of its check, not at those in its name.", ""]
    if torch is not None and measurer.is_gpu:
        import triton

        machine.update(gpu=torch.cuda.get_device_name(), torch=torch.__version__, triton=triton.__version__)
        lines += [f"{machine['gpu']}, torch {machine['torch']}, triton {machine['triton']}; copy "
                  f"{measurer.bandwidth / 1e9:.0f} GB/s, matmul 8192³ {measurer.flops / 1e12:.0f} TFLOP/s."]
    lines += [f"Medians in ms of {options.rounds} round(s) with cold L2, tuned for {options.budget:g} s. "
              "ejected: our Triton module under PyTorch's timer.", "",
              "| kernel and shape | eager | compile | helion | floor | default | tuned | ejected | bar | tuned/default "
              "| s to 3 % | s in all | tried/failed |", "|" + "---|" * 13]
    lines += [line_of(row) for row in rows]
    lines += [""] + summary(rows)
    if skipped:
        lines.append(f"not measured in {options.limit:g} s: {', '.join(skipped)}")
    text = "\n".join(lines) + "\n"
    place = lambda name: os.path.join(options.out, name)
    with open(place("bars.md"), "w") as file:
        file.write(text)
    with open(place("bars.json"), "w") as file:
        json.dump({"machine": machine, "rows": rows}, file, indent=1, ensure_ascii=False)
    with open(place("configs.json"), "w") as file:
        json.dump({row["name"]: {"kernel": row["kernel"], "args": row["args"], "config": row["config"]}
                   for row in rows if row.get("config")}, file, indent=1, ensure_ascii=False)
    with open(place("helion-configs.json"), "w") as file:
        json.dump({row["name"]: row["helion"]["config"] for row in rows if "helion" in row}, file, indent=1,
                  ensure_ascii=False)
    return text


def bars(options):
    """True if every row was measured."""
    if torch is None:
        print("bars: there is no PyTorch; the columns eager, compile, helion, floor and ejected are skipped")
    elif options.helion and not has_helion():
        print("bars: Helion is not installed (put its wheels into bench/gpu/wheels); its column is skipped")
    chosen = [bar for bar in BARS if any(only in bar.name for only in options.only.split(","))]
    measurer = Measurer(options)
    rows, text = [], ""
    try:
        measurer.measure_machine()
        for bar in chosen:
            if measurer.clock.left() < (options.budget + 20 if measurer.is_gpu else 0):
                break
            print(f"[{measurer.clock.elapsed():.0f}s] {bar.name}", flush=True)
            rows.append(measurer.row(bar))
            text = report(measurer, rows, [b.name for b in chosen[len(rows):]])
            print("  " + line_of(rows[-1]), flush=True)
        text = report(measurer, rows, [b.name for b in chosen[len(rows):]])
    finally:
        measurer.close()
    print("\n" + text)
    return len(rows) == len(chosen) and all("error" not in row for row in rows)
