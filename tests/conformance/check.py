"""Replays the shared conformance cases against a built binary and compares the score with the floor kept beside this.

The floor may only rise: `--raise` writes the new score into floor.json when it is better. Where the shared folder is
absent nothing is run, and that is said.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FLOOR = HERE / 'floor.json'
# A few operations depend on set order or the clock; this many may be lost between two runs of one binary.
SLACK = 15


def shared():
    path = os.environ.get('MYELIN_SHARED')
    return pathlib.Path(path) if path else HERE.parent.parent.parent / 'shared'


def main():
    pars = argparse.ArgumentParser(description=__doc__)
    pars.add_argument('--binary', required=True)
    pars.add_argument('--python', default=sys.executable)
    pars.add_argument('--out', help='keep the results in this file')
    pars.add_argument('--filter', nargs='+')
    pars.add_argument('--raise', dest='rise', action='store_true')
    opts = pars.parse_args()

    suite = shared() / 'conformance'
    if not (suite / 'replay.py').exists():
        print('conformance: skipped, no shared folder here')
        return 0

    launch = (f'{os.path.abspath(opts.binary)} cortex {{dirn}} --telepath tcp://127.0.0.1:{{port}}/ --https 0 '
              '--model {testmodel}')
    with tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else None) as work:
        out = opts.out or os.path.join(work, 'results.jsonl')
        cmd = [opts.python, str(suite / 'replay.py'), 'run', '--cases', str(suite / 'open'), '--out', out, '--keep',
               '--quiet', '--jobs', '2', '--launch', launch, '--url', 'tcp://root:secret@127.0.0.1:{port}/']
        if opts.filter:
            cmd += ['--filter', *opts.filter]
        env = dict(os.environ, TMPDIR=work, PYTHONDONTWRITEBYTECODE='1')
        proc = subprocess.run(cmd, env=env, stdout=subprocess.PIPE, text=True)
    print(proc.stdout)
    if proc.returncode != 0:
        print(f'conformance: the runner ended with {proc.returncode}')
        return 1
    if opts.filter:
        return 0

    found = re.search(r'ops core +(\d+)/(\d+)', proc.stdout)
    cases = re.search(r'cases passed (\d+)/(\d+)', proc.stdout)
    now = {'ops_core': int(found.group(1)), 'cases': int(cases.group(1))}
    floor = json.loads(FLOOR.read_text())
    print(f'conformance: {now} of {found.group(2)} operations and {cases.group(2)} cases; the floor is {floor}')
    if opts.rise and now['ops_core'] > floor['ops_core']:
        FLOOR.write_text(json.dumps(now, indent=4) + '\n')
    return 1 if now['ops_core'] < floor['ops_core'] - SLACK else 0


if __name__ == '__main__':
    sys.exit(main())
