"""Calls of the peri command."""
import csv
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Failed(Exception):
    """A call that did not succeed, with what it said."""


def environment(cache):
    env = dict(os.environ, PERI_CACHE_DIR=cache)
    bundled = os.path.join(ROOT, "lib")
    if os.path.isdir(bundled):
        env["LD_LIBRARY_PATH"] = bundled + os.pathsep + env.get("LD_LIBRARY_PATH", "")
    return env


class Peri:
    """peri on one device, with a cache of its own."""

    def __init__(self, device, cache):
        self.binary = os.environ["PERI"]
        self.device, self.env = device, environment(cache)
        self.takes_cold = "--cold" in self._call(["run", "--help"], 60)

    def _call(self, words, timeout):
        try:
            done = subprocess.run([self.binary, *words], capture_output=True, text=True, timeout=timeout, env=self.env)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"no answer in {timeout:.0f} s") from late
        if done.returncode not in (0, 4, 130):  # 4: the check differs, which the JSON tells
            raise Failed(_reason(done))
        return done.stdout

    def _json(self, words, timeout):
        text = self._call([*words, "--json"], timeout)
        try:
            return json.loads(text)
        except json.JSONDecodeError as bad:
            raise Failed(f"no JSON: {text[-200:]}") from bad

    def _kernel(self, command, kernel, args):
        words = [command, os.path.join(ROOT, "kernels", kernel), "--device", self.device, "--python", sys.executable]
        for name, spec in args.items():
            words += ["--arg", f"{name}={spec}"]
        return words

    def run(self, kernel, args, config=None, check=False, timed=False, out=None, timeout=120):
        words = self._kernel("run", kernel, args)
        words += ["--config", json.dumps(config)] if config is not None else ["--no-cache"]
        words += ["--check"] * check + ["--time"] * timed + (["--out", out] if out else [])
        if timed and self.takes_cold and self.device != "cpu":
            words.append("--cold")
        return self._json(words, timeout)

    def tune(self, kernel, args, seconds, log, strategy=None, timeout=None):
        words = self._kernel("tune", kernel, args) + ["--budget", str(seconds), "--log", log]
        words += ["--strategy", strategy] if strategy else []
        words += ["--cold"] if self.device != "cpu" else []
        return self._json(words, timeout or 2 * seconds + 60)

    def eject(self, kernel, args, config, out):
        words = self._kernel("eject", kernel, args)
        words = words[:words.index("--python")] + words[words.index("--python") + 2:]
        self._call([*words, "--target", "triton", "--config", json.dumps(config), "--out", out], 60)


def _reason(done):
    for text in (done.stdout, done.stderr):
        try:
            error = json.loads(text).get("error", {})
            return f"{error.get('code')}: {error.get('message')}"
        except (json.JSONDecodeError, AttributeError):
            pass
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")]
    return (errors or lines or [f"exit status {done.returncode}"])[-1][:300]


class Trials:
    """What tune --log wrote: a row for each config."""

    def __init__(self, path):
        try:
            with open(path, newline="") as file:
                self.rows = list(csv.DictReader(file))
        except OSError:
            self.rows = []

    def good(self):
        return [row for row in self.rows if row["status"] == "ok" and row["seconds"]]

    def failures(self):
        """How many for each status and reason."""
        counts = {}
        for row in self.rows:
            if row["status"] != "ok":
                reason = f"{row['status']}: {row['reason'].splitlines()[0][:80]}" if row["reason"] else row["status"]
                counts[reason] = counts.get(reason, 0) + 1
        return counts

    def seconds_to(self, share):
        """When the best so far first came within `share` of the final one."""
        good = self.good()
        if not good:
            return None
        goal = min(float(row["seconds"]) for row in good) * (1 + share)
        return min(float(row["at_s"]) for row in good if float(row["seconds"]) <= goal)


class Stopwatch:
    """The time that a part may take."""

    def __init__(self, limit):
        self.start, self.limit = time.monotonic(), limit

    def elapsed(self):
        return time.monotonic() - self.start

    def left(self):
        return self.limit - self.elapsed()
