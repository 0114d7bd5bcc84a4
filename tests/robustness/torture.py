"""
The torture behind `scripts/torture`: suites of faults, each seeded and bounded, and a table of
what was tried, how often, and what was lost.
"""

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from trial import RULES, Trial

SUITES = {
    "crash": 0.3,
    "disk": 0.15,
    "slow_disk": 0.1,
    "network": 0.1,
    "overload": 0.1,
    "soak": 0.15,
    "hostile": 0.05,
    "migrations": 0.05,
}
"""Each suite, a module with `run(trial)`, and its share of the time."""
SHOWN_MAX = 20
"""Most faults of a suite that are printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="for all suites together")
    parser.add_argument("--seed", type=int, help="repeats a run; a new one is thrown by default")
    parser.add_argument("--suite", action="append", choices=list(SUITES), help="only this one")
    chosen = parser.parse_args()
    suites = chosen.suite or list(SUITES)
    whole = sum(SUITES[name] for name in suites)
    seed = int(time.time()) if chosen.seed is None else chosen.seed
    print(f"seed {seed}, {chosen.seconds:.0f} s for {', '.join(suites)}", flush=True)
    trials: dict[str, Trial] = {}
    for name in suites:
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"torture-{name}-") as folder:
            trial = Trial(Path(folder), chosen.seconds * SUITES[name] / whole, seed)
            trials[name] = trial
            import_module(name).run(trial)
        print(f"{name}: {time.monotonic() - began_s:.0f} s, {len(trial.faults)} faults", flush=True)
        for fault in trial.faults[:SHOWN_MAX]:
            print(f"  {fault.kind}: {fault.sentence}")
    print("\n".join(table(trials)))
    return int(any(trial.faults for trial in trials.values()))


def table(trials: dict[str, Trial]) -> list[str]:
    """Return the lines of the closing table."""
    lines = ["", f"{'suite':11}{'what was tried':44}{'how often':>12}"]
    for name, trial in trials.items():
        rows = [(what, f"{number:,}") for what, number in trial.counts.items()]
        rows += list(trial.figures.items())
        rows += [(kind, str(trial.faults_of([kind]))) for kind in RULES]
        rows.append(("other faults", str(len(trial.faults) - trial.faults_of(RULES))))
        for at, (what, value) in enumerate(rows):
            lines.append(f"{name if at == 0 else '':11}{what:44}{value:>12}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
