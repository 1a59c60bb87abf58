"""Runs every interop script beside this one against a built binary, with the official package as the peer.

Each script is a program: `python <script> --binary <myelin>`; it exits 0 when what it checks holds, and prints what
it saw. A script that hangs is stopped after its time limit and counts as failed.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 900


def main():
    pars = argparse.ArgumentParser(description=__doc__)
    pars.add_argument('--binary', required=True)
    pars.add_argument('only', nargs='*', help='names of scripts to run, without .py')
    opts = pars.parse_args()

    scripts = [path for path in sorted(HERE.glob('*.py')) if path.name not in ('run.py', 'common.py')]
    if opts.only:
        scripts = [path for path in scripts if path.stem in opts.only]

    passed, failed = 0, []
    for path in scripts:
        began = time.monotonic()
        print(f'-- {path.stem}', flush=True)
        cmd = [sys.executable, str(path), '--binary', os.path.abspath(opts.binary)]
        try:
            code = subprocess.run(cmd, timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            code = 'no end'
        print(f'-- {path.stem}: {"ok" if code == 0 else f"FAILED ({code})"} in {time.monotonic() - began:.1f} s', flush=True)
        if code == 0:
            passed += 1
        else:
            failed.append(path.stem)
    print(f'interop: {passed} passed, {len(failed)} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
