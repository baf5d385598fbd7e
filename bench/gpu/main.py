"""Command line of bench/gpu/run."""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bars import bars
from cases import BARS, CHECKS
from check import check


def parse():
    parser = argparse.ArgumentParser(prog="bench/gpu/run", description=__doc__)
    parser.add_argument("part", choices=["check", "bars", "all", "list"])
    parser.add_argument("--device", default="cuda", help="peri's device; cpu: a rehearsal at small sizes")
    parser.add_argument("--only", default="", help="cases with this text in their name; of bars, one of a,b,c")
    parser.add_argument("--limit", type=float, default=540, help="seconds for a part; no case begins after them")
    parser.add_argument("--out", default=os.environ.get("OUT", "."), help="folder of the results")
    group = parser.add_argument_group("check")
    group.add_argument("--samples", type=int, default=4, help="configs a case besides the default one")
    group.add_argument("--sample-seconds", type=float, default=6, help="random search that finds them")
    group.add_argument("--jobs", type=int, default=4, help="cases at a time")
    group = parser.add_argument_group("bars")
    group.add_argument("--budget", type=float, default=20, help="seconds of tuning a kernel")
    group.add_argument("--rounds", type=int, default=3, help="times that peers and ours take turns")
    group.add_argument("--compile", action="store_true", help="time torch.compile too")
    group.add_argument("--helion", action="store_true", help="time Helion too; it searches for each kernel")
    group.add_argument("--helion-seconds", type=float, default=75, help="most that one of its searches may take")
    group.add_argument("--helion-configs", default="", help="helion-configs.json of an earlier run: no searches")
    group.add_argument("--no-ejected", dest="ejected", action="store_false",
                       help="leave out our Triton modules under PyTorch's timer")
    group.add_argument("--logs", action="store_true", help="keep every tuning run's table")
    return parser.parse_args()


def main():
    options = parse()
    os.makedirs(options.out, exist_ok=True)
    if options.part == "list":
        print("\n".join([*(f"check {case.kernel} {case.args}" for case in CHECKS),
                         *(f"bars  {bar.name}: {bar.kernel} {bar.args}" for bar in BARS)]))
        return 0
    good = True
    if options.part in ("check", "all"):
        good = check(options) and good
    if options.part in ("bars", "all"):
        good = bars(options) and good
    return 0 if good else 1


sys.exit(main())
