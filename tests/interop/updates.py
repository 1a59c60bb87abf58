'''
Updates of a running cluster in the order that docs/operations.md gives, with two builds, under load: mirrors first, a hand-off,
the old leader last. A mirror does not follow a leader of a newer version; a directory of a newer version, of whatever part, is
refused by name and left as it was.

Usage: updates.py --binary MYELIN [--old AN_OLDER_MYELIN]
'''
import os
import sys
import shutil
import hashlib
import asyncio
import argparse
import tempfile
import subprocess

import lmdb

import synapse.lib.msgpack as s_msgpack

from common import Svc, Writer, cluster, contents, copy_of, eventually, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--old', help='the build that the cluster runs before; by default the same')
opts = pars.parse_args()

# The original, as a version that is still to come.
NEWER = '''
import sys, asyncio
import synapse.lib.jsonstor as s_jsonstor
s_jsonstor.JsonStorCell.VERSION = (2, 999, 0)
s_jsonstor.JsonStorCell.VERSTRING = '2.999.0'
asyncio.run(s_jsonstor.JsonStorCell.execmain(sys.argv[1:]))
'''


class Newer(Svc):
    def spawn(self):
        argv = [sys.executable, '-c', NEWER, self.dirn, '--https', '0', '--telepath', f'tcp://127.0.0.1:{self.port}/']
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)


async def pair(base, svcs, binary):
    lead = Svc('jsonstor', os.path.join(base, 'lead'), binary)
    with open(os.path.join(lead.dirn, 'cell.yaml'), 'w') as fd:
        fd.write('auth:passwd: secret\nnexslog:en: true\n')
    await lead.start()
    await lead.call('addQueue', 'load', {})
    dirn = os.path.join(base, 'mirror')
    await copy_of(lead, dirn, lead.url)
    mirror = Svc('jsonstor', dirn, binary)
    svcs.extend((lead, mirror))
    await mirror.start()
    await same(lead, mirror)
    return lead, mirror


async def rolling(base, svcs):
    lead, mirror = await pair(base, svcs, opts.old or opts.binary)
    writers = [Writer(svc, name) for svc, name in ((lead, 'lead'), (mirror, 'mirror'))]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    await asyncio.sleep(1)
    mirror.stop()
    mirror.binary = opts.binary
    await mirror.start()
    await eventually('in step', lambda: in_step(mirror))
    await asyncio.sleep(1)
    await lead.call('handoff', mirror.url)
    assert await mirror.call('isCellActive') and not await lead.call('isCellActive')
    await asyncio.sleep(1)
    lead.stop()
    lead.binary = opts.binary
    await lead.start()
    await eventually('in step', lambda: in_step(lead))
    await asyncio.sleep(1)
    for writer in writers:
        writer.done = True
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    await same(mirror, lead)
    items, *state = await contents(mirror)
    assert tuple(state) == (await contents(lead))[1:], 'the states differ'
    assert len(set(items)) == len(items), 'a write is doubled'
    for writer in writers:
        assert writer.acked and not writer.lost(items), writer.lost(items)
    print(f'ok updated one after the other under load: {sum(len(writer.acked) for writer in writers)} acknowledged writes, none missing')
    return lead, mirror


async def in_step(svc):
    cell = (await svc.call('getCellInfo'))['cell']
    return not cell['active'] and cell['ready'] and cell['uplink'] and not cell['nexus']['readonly']


async def held(svc):
    nexus = (await svc.call('getCellInfo'))['cell']['nexus']
    return nexus['readonly'] and 'higher version' in nexus['holds'][0]['reason']


async def order(base, svcs):
    '''A newer mirror follows an older leader; the other way round it waits to be updated.'''
    lead, mirror = await pair(base, svcs, opts.binary)
    mirror.stop()
    newer = Newer('jsonstor', mirror.dirn, port=mirror.port)
    svcs.append(newer)
    await newer.start()
    await same(lead, newer)
    await lead.call('setPathObj', 'before', 1)
    await same(lead, newer)
    await lead.call('handoff', newer.url)
    await eventually('the old one waits for its update', lambda: held(lead))
    await newer.call('setPathObj', 'after', 1)
    assert await lead.call('getPathObj', 'before') == 1
    assert await lead.call('getPathObj', 'after') is None
    newer.stop()
    lead.stop()
    print('ok a mirror follows no leader of a newer version, and says so')
    # What the newer one has left is refused here.
    refused(newer.kind, newer.dirn, 'BadVersion')
    print('ok a directory that a newer version had is refused')


def set_row(path, table, key, valu):
    with lmdb.open(path, max_dbs=256, map_size=2 ** 32) as env:
        with env.begin(write=True) as xact:
            dbi = env.open_db(table, txn=xact, create=False)
            assert xact.get(key, db=dbi) is not None, (path, table, key)
            xact.put(key, valu, db=dbi)


def digest(dirn):
    found = {}
    for root, _, names in os.walk(dirn):
        for name in names:
            if name == 'data.mdb':
                with open(os.path.join(root, name), 'rb') as fd:
                    found[os.path.relpath(root, dirn)] = hashlib.sha256(fd.read()).hexdigest()
    return found


def refused(kind, dirn, error, untouched=True):
    before = digest(dirn)
    done = subprocess.run([opts.binary, kind, dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0/'], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and error in done.stderr, (done.returncode, done.stderr[-2000:])
    assert not untouched or digest(dirn) == before, 'a refused directory was changed'
    return [line for line in done.stderr.splitlines() if error in line][-1]


async def versions(base, svcs):
    en = s_msgpack.en
    for kind in ('cortex', 'axon', 'jsonstor'):
        svc = Svc(kind, os.path.join(base, kind), opts.binary)
        svcs.append(svc)
        await svc.start()
        svc.stop()
        changes = [
            ('slabs/cell.lmdb', b'cell:info', b'cell:version', en((2, 999, 0)), 'BadVersion'),
            ('slabs/cell.lmdb', b'cell:info', b'synapse:version', en((2, 999, 0)), 'BadVersion'),
            ('slabs/cell.lmdb', b'cell:vers', b'cell:storage', en(99), 'BadStorageVersion'),
            ('slabs/cell.lmdb', b'cell:vers', b'drive:storage', en(99), 'BadStorageVersion'),
        ]
        if kind == 'cortex':
            layer = os.listdir(os.path.join(svc.dirn, 'layers'))[0]
            changes.append((f'layers/{layer}/layer_v2.lmdb', b'layer:meta', b'version', en(99), 'BadStorageVersion'))
            changes.extend(('slabs/cell.lmdb', b'cell:vers', name, en(99), 'BadStorageVersion') for name in cortex_versions(svc.dirn))
        for indx, (slab, table, key, valu, error) in enumerate(changes):
            dirn = os.path.join(base, f'{kind}.{indx}')
            shutil.copytree(svc.dirn, dirn, ignore=shutil.ignore_patterns('sock'))
            set_row(os.path.join(dirn, slab), table, key, valu)
            # What belongs to the service alone is looked at when it is opened.
            line = refused(kind, dirn, error, untouched=indx < 4)
            shutil.rmtree(dirn)
        print(f'ok {kind}: {len(changes)} kinds of newer versions are refused; the last: {line[-220:]}')


def cortex_versions(dirn):
    with lmdb.open(os.path.join(dirn, 'slabs/cell.lmdb'), max_dbs=256, readonly=True, lock=False) as env:
        with env.begin() as xact:
            names = [key for key, _ in xact.cursor(db=env.open_db(b'cell:vers', txn=xact, create=False))]
    return [name for name in names if name.startswith(b'cortex:')]


async def run():
    for func in (rolling, order, versions):
        with tempfile.TemporaryDirectory() as base:
            async with cluster() as svcs:
                await func(base, svcs)


asyncio.run(run())
