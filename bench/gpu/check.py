"""Every kernel at its default and at sampled configs, against PyTorch in float64 and against peri's interpreter."""
import concurrent.futures
import json
import os
import shutil
import tempfile

from cases import CHECKS, torch
from peri import Failed, Peri, Stopwatch, Trials

# Of an element, next to its size or to that of the tensor's mean square: what rounding may do.
ALLOWED = {"float64": 1e-9, "float32": 2e-5, "bfloat16": 2e-2, "float16": 3e-3}
ALLOWED_TF32 = 5e-3


def allowed_for(case, got, values):
    """By the coarsest dtype that went in; a dot of float32 may run in TF32."""
    names = [str(v.dtype).split(".")[-1] for v in [*values, got] if isinstance(v, torch.Tensor) and v.is_floating_point()]
    allowed = max([ALLOWED[name] for name in names], default=0)
    return max(allowed, ALLOWED_TF32) if case.has_dot else allowed


def difference(case, got, want, values):
    """Largest error by what is allowed, and the share of elements that agree."""
    if tuple(got.shape) != tuple(want.shape):
        return float("inf"), 0.0, f"shape {tuple(got.shape)} instead of {tuple(want.shape)}"
    if got.numel() == 0:
        return 0.0, 1.0, ""
    if not want.is_floating_point():
        share = (got == want).sum().item() / got.numel()
        return 0.0 if share == 1 else float("inf"), share, f"{1 - share:.2%} of elements differ"
    error = (got.double() - want.double()).abs()
    scale = want.double().pow(2).mean().sqrt()
    ratio = error / (allowed_for(case, got, values) * torch.maximum(want.double().abs(), scale).clamp(min=1e-30))
    ratio = ratio.nan_to_num(nan=float("inf"), posinf=float("inf"))
    worst, share = ratio.max().item(), (ratio <= 1).sum().item() / ratio.numel()  # exactly 1 if all agree
    return worst, share, f"error {error.nan_to_num(nan=float('inf')).max().item():.3g}"


class Checker:
    def __init__(self, options):
        self.options, self.clock = options, Stopwatch(options.limit)
        self.folder = tempfile.mkdtemp(prefix="perihelion-check-")
        self.peri = Peri(options.device, os.path.join(self.folder, "cache"))
        self.torch_device = options.device.split(":")[0] if torch else None

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def inputs(self, i, case):
        """SPECs for peri, the values, and the reference's outputs (None: peri's interpreter alone)."""
        if torch is None or case.reference is None:
            return case.args, [], None
        from tensors import npy_spec, values_of, widened

        values = values_of(case.args, self.torch_device)
        place = os.path.join(self.folder, str(i))
        os.makedirs(place, exist_ok=True)
        args = {name: npy_spec(value, os.path.join(place, f"{name}.npy"), spec)
                for value, (name, spec) in zip(values, case.args.items())}
        want = case.reference(*[widened(value) for value in values])
        return args, values, list(want) if isinstance(want, tuple) else [want]

    def configs(self, i, case, args):
        """The default, and what a random search times: it skips what is wrong or fails, and counts it."""
        configs, failures = [None], {}
        if self.options.samples > 0:
            log = os.path.join(self.folder, f"{i}.csv")
            seconds = self.options.sample_seconds
            self.peri.tune(case.kernel, args, seconds, log, strategy="random", timeout=4 * seconds + 60)
            trials = Trials(log)
            good = trials.good()[1:]
            step = max(1, len(good) // self.options.samples)
            configs += [json.loads(row["config"]) for row in good[::step][:self.options.samples]]
            failures = trials.failures()
        return configs, failures

    @staticmethod
    def judged(failures):
        """A wrong result that the search met is a wrong run."""
        wrong = [reason for reason in failures if reason.startswith("wrong-result")]
        return [{"ok": False, "text": f"while sampling: {reason}", "config": {}} for reason in wrong]

    def run(self, i, number, case, args, values, want, config):
        out = os.path.join(self.folder, f"{i}-{number}")
        reply = self.peri.run(case.kernel, args, config, check=True, out=out)
        own = reply["check"]
        verdict = {"own_ok": own["ok"], "own_error": own["error"], "config": reply["config"], "ok": own["ok"]}
        if case.agree < 1:  # rounding decides which of two equals wins
            verdict["ok"] = True
        verdict["text"] = "" if verdict["ok"] else f"peri's interpreter: {own['where'] or own['error']}"
        if want is None:
            return verdict
        from tensors import outputs_in

        got = outputs_in(out, len(reply["outputs"]), self.torch_device)
        shutil.rmtree(out, ignore_errors=True)
        for index, (mine, theirs) in enumerate(zip(got, want, strict=True)):
            worst, share, text = difference(case, mine, theirs, values)
            verdict["worst"] = max(verdict.get("worst", 0), min(worst, 1e30))
            if share < case.agree:
                verdict["ok"] = False
                verdict["text"] = f"out{index}: {text}, {share:.2%} agree"
        return verdict

    def case(self, i, case):
        row = {"kernel": case.kernel, "args": case.args, "runs": [], "failures": {}}
        try:
            args, values, want = self.inputs(i, case)
            configs, row["failures"] = self.configs(i, case, args)
            row["runs"] += self.judged(row["failures"])
            for number, config in enumerate(configs):
                if self.clock.left() < 0:
                    row["cut"] = f"{number} of {len(configs)} configs in the time limit"
                    break
                try:
                    row["runs"].append(self.run(i, number, case, args, values, want, config))
                except Failed as failed:
                    row["runs"].append({"ok": False, "text": str(failed), "config": config})
        except Failed as failed:
            row["runs"].append({"ok": False, "text": str(failed), "config": None})
        except Exception as wrong:  # of this case alone: the others go on
            row["runs"].append({"ok": False, "text": f"{type(wrong).__name__}: {wrong}", "config": None})
        return row


def line_of(row):
    runs = row["runs"]
    bad = [run for run in runs if not run["ok"]]
    worst = max([run.get("worst", 0) for run in runs], default=0)
    verdict = "not run" if not runs else "ok" if not bad else f"WRONG {len(bad)} of {len(runs)}"
    failures = ", ".join(f"{count}× {reason}" for reason, count in row["failures"].items())
    dtypes = " ".join(spec.split("]")[0].split("[")[-1] for spec in row["args"].values() if "[" in spec)
    return f"| {row['kernel'].split('/')[-1]} | {dtypes} | {len(runs)} | {verdict} | {worst:.2f} | {failures} |"


def check(options):
    """True if everything agrees."""
    chosen = [case for case in CHECKS if options.only in case.kernel]
    against = "PyTorch in float64 and peri's interpreter"
    if torch is None:
        against = "peri's interpreter alone: there is no PyTorch"
    checker = Checker(options)
    rows = [{"kernel": case.kernel, "args": case.args, "runs": [], "failures": {}} for case in chosen]
    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            pending = {pool.submit(checker.case, i, case): i for i, case in enumerate(chosen)}
            for done in concurrent.futures.as_completed(pending):
                row = rows[pending[done]] = done.result()
                for run in row["runs"]:
                    if not run["ok"]:
                        config = "default" if run["config"] is None else json.dumps(run["config"])
                        print(f"WRONG {row['kernel']} {row['args']}\n  {run['text']}\n  {config}", flush=True)
    finally:
        checker.close()
    runs = [run for row in rows for run in row["runs"]]
    bad = [run for run in runs if not run["ok"]]
    untried = [row["kernel"] for row in rows if not row["runs"]]
    lines = [f"# Correctness on {options.device}", "", f"Against {against}; worst: error by what is allowed.", "",
             "| kernel | sizes | configs | verdict | worst | failed while sampling |", "|---|---|---|---|---|---|"]
    lines += [line_of(row) for row in rows]
    cut = [row["kernel"] for row in rows if "cut" in row]
    lines += ["", f"{len(runs)} runs of {len(rows)} cases in {checker.clock.elapsed():.0f} s, {len(bad)} wrong"
              + (f"; cut short: {', '.join(cut)}" if cut else "")
              + (f"; not run: {', '.join(untried)}" if untried else "")]
    text = "\n".join(lines) + "\n"
    with open(os.path.join(options.out, "check.md"), "w") as file:
        file.write(text)
    with open(os.path.join(options.out, "check.json"), "w") as file:
        json.dump(rows, file, indent=1)
    print(text)
    return not bad and not untried
