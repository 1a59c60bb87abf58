'''
Norms a second of processor time for the types that carry real load, ours and the reference's in one run, as a table.

Usage: compare.py BENCH, where BENCH is the program that `cargo bench -p myelin-model --bench norm --no-run` names. Needs
the official package.
'''
import re
import sys
import time
import statistics
import subprocess

import synapse.datamodel as s_datamodel
import synapse.lib.dyndeps as s_dyndeps
import synapse.lib.modules as s_modules

CASES = (
    ('inet:fqdn', 'www.vertex.link'),
    ('inet:ipv4', '203.0.113.45'),
    ('inet:ipv6', '2001:db8::1:2'),
    ('inet:url', 'https://user:pw@www.vertex.link:8443/a/b/c?x=1'),
    ('time', '2024-03-05T12:34:56.789Z'),
    ('ival', ('2024-03-05', '2024-03-06')),
    ('hash:md5', 'd41d8cd98f00b204e9800998ecf8427e'),
    ('file:path', 'C:\\Windows\\System32\\Drivers\\etc\\hosts'),
    ('syn:tag', 'cno.threat.apt28.use'),
    ('guid', 'd41d8cd98f00b204e9800998ecf8427e'),
    ('guid from a list', ('a', 'b', 'c')),
)
UNITS = {'ps': 1e-12, 'ns': 1e-9, 'µs': 1e-6, 'us': 1e-6, 'ms': 1e-3}


class Core:
    dirn = '/nonexistent'


def theirs():
    core = Core()
    core.model = modl = s_datamodel.Model(core=None)
    mdefs = []
    for path in s_modules.coremods:
        mdefs.extend(s_dyndeps.getDynLocal(path)(core).getModelDefs())
    modl.addDataModels(mdefs)
    took = {}
    for name, valu in CASES:
        norm = modl.type(name.split()[0]).norm
        norm(valu)
        runs = []
        for _ in range(9):
            began = time.thread_time()
            for _ in range(5000):
                norm(valu)
            runs.append((time.thread_time() - began) / 5000)
        took[name] = statistics.median(runs)
    return took


def ours(bench):
    args = [bench, '--bench', '--warm-up-time', '0.5', '--measurement-time', '1']
    text = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    found = re.findall(r'^(\S.*?)\s+time:\s+\[\S+ \S+ (\S+) (\S+) \S+ \S+\]', text, re.M)
    return {name: float(valu) * UNITS[unit] for name, valu, unit in found}


def main():
    have, want = ours(sys.argv[1]), theirs()
    print('| type | ours, norms/s | reference, norms/s | ratio |')
    print('|---|---:|---:|---:|')
    for name, _ in CASES:
        print(f'| `{name}` | {1 / have[name]:,.0f} | {1 / want[name]:,.0f} | {want[name] / have[name]:.0f} |')


main()
