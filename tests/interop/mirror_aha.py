'''
A cluster of three document stores with AHA: one of ours leads, the original and another of ours are provisioned as its
mirrors, with the bootstrap streamed. Leadership goes round with the official tools and with ours, under a load that would
show a lost or a doubled write; then the leader is killed and comes back, and AHA itself fails over to a clone.

Usage: mirror_aha.py --binary MYELIN
'''
import os
import sys
import time
import asyncio
import argparse
import contextlib
import tempfile
import subprocess

import yaml
import synapse.telepath as s_telepath

import synapse.lib.certdir as s_certdir

from common import Svc, cluster, eventually, free_port, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()
NET = 'loop.link'
MAXPAUSE = 1.0


def conf(dirn, **options):
    os.makedirs(dirn, exist_ok=True)
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        yaml.safe_dump({key.replace('__', ':'): valu for key, valu in options.items()}, fd)


def tool(binary, name, *args, fails=False):
    argv = [binary, 'tool', name] if binary else [sys.executable, '-m', f'synapse.tools.{name}']
    done = subprocess.run([*argv, *args], capture_output=True, text=True, timeout=90)
    assert (done.returncode != 0) == fails, (name, args, done.returncode, done.stdout, done.stderr[-3000:])
    return done.stdout


class Load:
    '''Puts numbers into a queue of one service, one after another, and remembers the longest wait.'''

    def __init__(self, svc):
        self.svc, self.done, self.numb, self.waits, self.errors = svc, False, 0, [], []

    async def run(self):
        async with await self.svc.open() as prox:
            while not self.done:
                began = time.monotonic()
                try:
                    await prox.putsQueue('load', ((self.svc.kind, os.path.basename(self.svc.dirn), self.numb),))
                except Exception as e:
                    self.errors.append(repr(e))
                    return
                self.waits.append(time.monotonic() - began)
                self.numb += 1
                await asyncio.sleep(0.002)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.run())
        await asyncio.sleep(0.3)
        return self

    async def __aexit__(self, *exc):
        await asyncio.sleep(0.3)
        self.done = True
        await asyncio.wait_for(self.task, 60)
        if exc[0] is None:
            assert not self.errors, self.errors


async def queue(svc):
    async with await svc.open() as prox:
        return [item[1] async for item in prox.getsQueue('load', 0, wait=False)]


async def in_order(svc, *loads):
    '''Every number that was acknowledged is there once, in order.'''
    items = await queue(svc)
    for load in loads:
        name = os.path.basename(load.svc.dirn)
        got = [numb for _, who, numb in items if who == name]
        assert got == list(range(len(got))), f'{name}: {got[:20]}… lost or doubled'
        assert len(got) == load.total, f'{name}: {len(got)} of {load.total}'


async def leader(aha):
    svc = await aha.call('getAhaSvc', f'stor.{NET}')
    return svc['svcinfo']['run'] if svc and svc['svcinfo'].get('online') else None


async def leads(aha, svc):
    run = await svc.call('getCellRunId')
    await eventually(f'{svc.dirn} leads', lambda: is_leader(aha, svc, run))


async def is_leader(aha, svc, run):
    return await leader(aha) == run and await svc.call('isCellActive')


async def in_step(svc):
    cell = (await svc.call('getCellInfo'))['cell']
    return not cell['active'] and cell['ready'] and cell['uplink']


async def main(base, svcs):
    port, provport, cloneport = free_port(), free_port(), free_port()
    ahadir = os.path.join(base, 'aha')
    conf(ahadir, aha__network=NET, dns__name='localhost', aha__admin=f'root@{NET}',
         dmon__listen=f'ssl://127.0.0.1:{port}?hostname=localhost&ca={NET}',
         provision__listen=f'ssl://127.0.0.1:{provport}?hostname=localhost')
    aha = Svc('aha', ahadir, opts.binary, port=0)
    svcs.append(aha)
    await aha.start()

    async def join(name, binary, **provinfo):
        url = await aha.call('addAhaSvcProv', name, provinfo=provinfo)
        dirn = os.path.join(base, name)
        conf(dirn, aha__provision=url)
        svc = Svc('jsonstor', dirn, binary, port=0)
        svcs.append(svc)
        await svc.start()
        return svc

    one = await join('00.stor', opts.binary)
    await leads(aha, one)
    await one.call('addQueue', 'load', {})
    await one.call('setPathObj', 'before', {'mirrors': False})
    two = await join('01.stor', None, mirror='stor')
    three = await join('02.stor', opts.binary, mirror='stor')
    assert await three.call('getPathObj', 'before') == {'mirrors': False}
    for mirror in (two, three):
        await eventually('in step', lambda: in_step(mirror))
    await same(one, two, three)
    print('ok provisioned with mirrors of both kinds, bootstrap streamed')

    s_certdir.addCertPath(os.path.join(ahadir, 'certs'))
    totals = {}

    # The numbers of a service go on from load to load.
    async def turn(what, how, to, by):
        # Not of the original, which breaks the calls it has under way when it is promoted; and as a leader that hands over it
        # makes the changes that wait for it, of other mirrors, in its own log only.
        loads = [Load(svc) for svc in by]
        for load in loads:
            load.numb = totals.get(load.svc.dirn, 0)
        async with contextlib.AsyncExitStack() as stack:
            for load in loads:
                await stack.enter_async_context(load)
            await asyncio.to_thread(how)
            await leads(aha, to)
        for load in loads:
            totals[load.svc.dirn] = load.total = load.numb
        for svc in (one, two, three):
            if svc is not to:
                await eventually('in step again', lambda: in_step(svc))
        await same(to, *[svc for svc in (one, two, three) if svc is not to])
        for svc in (one, two, three):
            await in_order(svc, *loads)
        pauses = {os.path.basename(load.svc.dirn): round(max(load.waits), 3) for load in loads}
        print(f'ok {what}; longest wait of a write: {pauses}')
        return pauses

    pauses = await turn('ours to ours, our tool', lambda: tool(opts.binary, 'service.promote', '--svcurl', f'cell://{three.dirn}'), three, (one, three))
    # Ours only: the original waits up to seconds for AHA while it holds its lock.
    assert max(pauses.values()) <= MAXPAUSE, pauses
    await turn('ours to the original, its tool', lambda: tool(None, 'service.promote', '--svcurl', f'cell://{two.dirn}'), two, (one, three))
    await turn('the original to ours, its tool', lambda: tool(None, 'promote', '--svcurl', f'cell://{one.dirn}'), one, (one,))

    assert 'Failed to promote' in tool(opts.binary, 'promote', '--svcurl', f'cell://{one.dirn}', fails=True)
    tool(opts.binary, 'demote', '--url', f'cell://{one.dirn}')
    await eventually('demoted', lambda: in_step(one))
    now = three if await three.call('isCellActive') else two
    await leads(aha, now)
    if now is not three:
        tool(opts.binary, 'service.promote', '--svcurl', f'cell://{three.dirn}')
        await leads(aha, three)
    await eventually('in step', lambda: in_step(one))
    print('ok demoted')

    # The leader dies; a mirror takes over; the old leader comes back and finds out.
    await same(three, one, two)
    three.kill()
    tool(opts.binary, 'service.promote', '--failure', '--svcurl', f'cell://{one.dirn}')
    await leads(aha, one)
    await one.call('setPathObj', 'after', 1)
    await three.start()
    await eventually('the old leader follows', lambda: in_step(three))
    await eventually('the original follows', lambda: in_step(two))
    assert await three.call('getPathObj', 'after') == 1
    await three.call('setPathObj', 'again', 2)
    await same(one, two, three)
    term = (await three.call('getCellInfo'))['cell']['cellvers']['nexus:term']
    assert term == (await two.call('getCellInfo'))['cell']['cellvers']['nexus:term'] >= 3, term
    print(f'ok an old leader gives way; term {term}')

    # One that was cut off with a change of its own says so, and refuses changes.
    three.stop()
    lone = os.path.join(base, 'lone')
    os.system(f'cp -r {three.dirn} {lone} && rm -f {lone}/sock')
    with open(os.path.join(lone, 'cell.yaml')) as fd:
        options = yaml.safe_load(fd)
    for key in ('aha:registry', 'mirror', 'dmon:listen'):
        options.pop(key, None)
    conf(lone, **options)
    with open(os.path.join(lone, 'cell.mods.yaml'), 'w') as fd:
        fd.write('nexslog:en: true\n')
    alone = Svc('jsonstor', lone, opts.binary)
    svcs.append(alone)
    await alone.start()
    await alone.call('setPathObj', 'mine', 'nobody else has this')
    alone.stop()
    await one.call('setPathObj', 'theirs', 'nor this')
    os.system(f'rm -rf {three.dirn}/slabs {three.dirn}/jsonstor* && cp -r {lone}/slabs {three.dirn}/')
    await three.start()
    await eventually('divergence is noticed', lambda: refuses(three))
    three.stop()
    # With mirror:resync it is copied anew.
    with open(os.path.join(three.dirn, 'cell.mods.yaml'), 'a') as fd:
        pass
    with open(os.path.join(three.dirn, 'cell.mods.yaml')) as fd:
        mods = yaml.safe_load(fd) or {}
    mods['mirror:resync'] = True
    with open(os.path.join(three.dirn, 'cell.mods.yaml'), 'w') as fd:
        yaml.safe_dump(mods, fd)
    three.spawn()
    await eventually('rebuilt', lambda: in_step(three), limit=60)
    await same(one, two, three)
    assert await three.call('getPathObj', 'mine') is None
    assert await three.call('getPathObj', 'theirs') == 'nor this'
    print('ok a diverged mirror refuses changes, and is rebuilt with mirror:resync')

    # A clone of AHA takes over from it.
    url = await aha.call('addAhaClone', 'localhost', port=cloneport)
    clonedir = os.path.join(base, 'aha2')
    conf(clonedir, clone=url)
    os.environ['SYN_AHA_PROVISION_LISTEN'] = f'ssl://127.0.0.1:{free_port()}?hostname=localhost'
    clone = Svc('aha', clonedir, opts.binary, port=0)
    svcs.append(clone)
    await clone.start()
    await eventually('the clone follows', lambda: in_step(clone))
    assert len(await clone.call('getAhaServers')) == 2
    assert len(await clone.genr('getAhaSvcs')) == 4
    # Through the clone as through the other.
    async with await s_telepath.openurl(f'ssl://localhost:{cloneport}?certname=root@{NET}') as prox:
        await prox.addAhaSvc('thing', {'urlinfo': {'scheme': 'tcp', 'port': 1}}, network=NET)
        assert (await aha.call('getAhaSvc', f'thing.{NET}'))['svcinfo']['online']
    # Services learn of it at their next connection.
    one.stop()
    await one.start()
    await leads(aha, one)
    await eventually('known to a service', lambda: knows(one, cloneport))
    aha.kill()
    tool(opts.binary, 'service.promote', '--failure', '--svcurl', f'cell://{clonedir}')
    await leads(clone, one)
    print('ok AHA failed over to a clone, services with it')

    for svc in svcs:
        svc.stop()


async def refuses(svc):
    cell = (await svc.call('getCellInfo'))['cell']
    return not cell['active'] and cell['nexus']['readonly'] and 'diverged' in cell['nexus']['holds'][0]['reason']


async def knows(svc, port):
    with open(os.path.join(svc.dirn, 'cell.mods.yaml')) as fd:
        return f'localhost:{port}' in fd.read()


async def run():
    with tempfile.TemporaryDirectory() as base:
        async with cluster() as svcs:
            await main(base, svcs)


asyncio.run(run())
