'''
Networks that are cut: AHA and two or three services, each on a host of its own (`ip netns`), with packets dropped silently
between any two of them. There are never two leaders that both acknowledge, and all recover by themselves.

Needs the right to make network namespaces; without it the script says so and ends.

Usage: mirror_cuts.py --binary MYELIN
'''
import os
import time
import random
import asyncio
import argparse
import tempfile
import contextlib
import subprocess

import yaml

from common import Svc, Writer, check, cluster, contents, eventually, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()
NET = 'loop.link'
HOSTS = ['aha', 'one', 'two', 'three']


def sh(*argv, check=True):
    return subprocess.run(argv, check=check, capture_output=True, text=True)


class Hosts:
    '''Hosts on one network. Clients use the unix sockets of services, which no cut touches.'''

    def __init__(self):
        self.mark = f'{random.randrange(16 ** 5):05x}'
        self.net = f'10.{random.randrange(100, 200)}.{random.randrange(256)}'
        self.bridge = f'myb{self.mark}'

    def name(self, host):
        return f'my{self.mark}{host}'

    def addr(self, host):
        return f'{self.net}.{HOSTS.index(host) + 1}'

    def inside(self, host, *argv, check=True):
        return sh('ip', 'netns', 'exec', self.name(host), *argv, check=check)

    def make(self):
        sh('ip', 'link', 'add', self.bridge, 'type', 'bridge')
        sh('ip', 'link', 'set', self.bridge, 'up')
        for indx, host in enumerate(HOSTS):
            sh('ip', 'netns', 'add', self.name(host))
            outer = f'myv{self.mark}{indx}'
            sh('ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.name(host))
            sh('ip', 'link', 'set', outer, 'master', self.bridge, 'up')
            self.inside(host, 'ip', 'addr', 'add', f'{self.addr(host)}/24', 'dev', 'eth0')
            self.inside(host, 'ip', 'link', 'set', 'eth0', 'up')
            self.inside(host, 'ip', 'link', 'set', 'lo', 'up')

    def remove(self):
        for host in HOSTS:
            sh('ip', 'netns', 'del', self.name(host), check=False)
        sh('ip', 'link', 'del', self.bridge, check=False)

    def cut(self, host, other):
        '''Packets go to a machine that is not there, both ways.'''
        for a, b in ((host, other), (other, host)):
            self.inside(a, 'ip', 'neigh', 'replace', self.addr(b), 'lladdr', '02:00:00:00:00:01', 'dev', 'eth0', 'nud', 'permanent')

    def isolate(self, host):
        for other in HOSTS:
            if other != host:
                self.cut(host, other)

    def heal(self):
        for host in HOSTS:
            for other in HOSTS:
                if other != host:
                    self.inside(host, 'ip', 'neigh', 'del', self.addr(other), 'dev', 'eth0', check=False)


def conf(dirn, options):
    os.makedirs(dirn, exist_ok=True)
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        yaml.safe_dump(options, fd)


async def info(svc):
    return (await asyncio.wait_for(svc.call('getCellInfo'), 10))['cell']


async def in_step(svc):
    cell = await info(svc)
    return not cell['active'] and cell['ready'] and cell['uplink'] and not cell['nexus']['readonly']


async def leads(svc):
    return (await info(svc))['active']


async def writes(writer):
    '''Whether writes are acknowledged now.'''
    count = len(writer.acked)
    await asyncio.sleep(0.5)
    return len(writer.acked) > count


@contextlib.asynccontextmanager
async def load(svcs, tag):
    writers = [Writer(svc, f'{tag}.{os.path.basename(svc.dirn)}') for svc in svcs]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.done = True
        await asyncio.wait(tasks, timeout=90)


async def main(base, svcs, hosts):
    addr = hosts.addr('aha')
    ahadir = os.path.join(base, 'aha')
    conf(ahadir, {'aha:network': NET, 'dns:name': addr, 'aha:failover': True,
                  'aha:urls': [f'ssl://{addr}:27492?hostname={addr}&certname=root@{NET}'],
                  'dmon:listen': f'ssl://0.0.0.0:27492?hostname={addr}&ca={NET}',
                  'provision:listen': f'ssl://0.0.0.0:27272?hostname={addr}'})
    aha = Svc('aha', ahadir, opts.binary, port=0, netns=hosts.name('aha'))
    svcs.append(aha)
    await aha.start()

    async def join(host, name, conf_, **provinfo):
        url = await aha.call('addAhaSvcProv', name, provinfo={'conf': conf_, **provinfo})
        dirn = os.path.join(base, name)
        conf(dirn, {'aha:provision': url})
        svc = Svc('jsonstor', dirn, opts.binary, port=0, netns=hosts.name(host))
        svc.host = host
        svcs.append(svc)
        await svc.start()
        return svc

    # ---- without failover: an operator promotes a mirror of a leader that still runs
    plain = {'mirror:resync': True}
    lead = await join('one', '00.plain', plain)
    await lead.call('addQueue', 'load', {})
    mirror = await join('two', '01.plain', plain, mirror='plain')
    await eventually('in step', lambda: in_step(mirror))
    for what, cuts in (('nothing cut', []), ('leader and mirror cut', [('one', 'two')])):
        old, new = (lead, mirror) if await leads(lead) else (mirror, lead)
        async with load([old, new], what) as (before, after):
            await asyncio.sleep(1)
            for a, b in cuts:
                hosts.cut(a, b)
            await asyncio.sleep(1)
            task = asyncio.create_task(new.call('promote', graceful=False))
            begun = time.monotonic()
            # What the old leader acknowledges it has to acknowledge before the new one acknowledges anything of its own.
            while not await leads(new):
                await asyncio.sleep(0.02)
                assert time.monotonic() - begun < 30, 'not promoted'
            await task
            took = time.monotonic() - begun
            await eventually('the new leader acknowledges', lambda: writes(after))
            if cuts:
                # Cut off from the new leader it can make no change at all.
                count = len(before.acked)
                await asyncio.sleep(3)
                assert len(before.acked) == count, 'the old leader goes on'
                ended = max(before.times, default=begun)
                first = min(when for when in after.times if when > begun)
                assert ended < first, f'both acknowledged for {ended - first} s'
                assert not await leads(old)
                hosts.heal()
        await eventually('the old leader follows', lambda: in_step(old), limit=90)
        await same(new, old)
        print(f'ok promoted by hand, {what}: in {took:.1f} s, one leader at any time')

    # A leader that was stopped while another was promoted finds out before it acknowledges anything.
    old, new = (lead, mirror) if await leads(lead) else (mirror, lead)
    async with load([old], 'stopped') as (before,):
        await asyncio.sleep(1)
        old.proc.send_signal(19)
        await asyncio.sleep(0.5)
        count = len(before.acked)
        await new.call('promote', graceful=False)
        offs = await new.call('getNexsIndx')
        await new.call('setPathObj', 'promoted', 1)
        assert len(before.acked) == count
        old.proc.send_signal(18)
        await eventually('the old leader follows', lambda: in_step(old), limit=90)
    await check(new, [old], [])
    items, *_ = await contents(new)
    lost = [numb for numb in before.lost(items) if numb > before.acked[count - 1]]
    assert not lost, f'acknowledged after it had been replaced: {lost}'
    print('ok a leader that was stopped for a while acknowledges nothing that is lost')
    for svc in (lead, mirror):
        svc.stop()

    # ---- with failover and a mirror that has to confirm: nothing that is acknowledged is ever lost
    safe = {'aha:failover': True, 'nexus:min_mirrors': 1, 'mirror:resync': True}
    first = await join('one', '00.safe', safe)
    second = await join('two', '01.safe', safe, mirror='safe')
    third = await join('three', '02.safe', safe, mirror='safe')
    members = [first, second, third]
    for svc in members[1:]:
        await eventually('in step', lambda: in_step(svc))
    await first.call('addQueue', 'load', {})

    async def leader(but=None):
        for svc in members:
            if svc is not but and await leads(svc):
                return svc

    async with load(members, 'safe') as writers:
        for what, cut, failover in (
            ('the leader cut off from all', lambda lead: hosts.isolate(lead.host), True),
            ('the leader cut off from AHA', lambda lead: hosts.cut(lead.host, 'aha'), True),
            ('AHA cut off from all', lambda lead: hosts.isolate('aha'), False),
            ('the leader cut off from both mirrors', lambda lead: [hosts.cut(lead.host, svc.host) for svc in members if svc is not lead], False),
            ('one mirror cut off', lambda lead: hosts.isolate([svc for svc in members if svc is not lead][0].host), False),
        ):
            old = await leader()
            await eventually('load', lambda: writes(writers[members.index(old)]))
            cut(old)
            begun = time.monotonic()
            if failover:
                new = None
                while new is None:
                    assert time.monotonic() - begun < 90, 'nobody was promoted'
                    await asyncio.sleep(0.5)
                    new = await leader(but=old)
                took = f', replaced after {time.monotonic() - begun:.0f} s'
                await eventually('the new leader acknowledges', lambda: writes(writers[members.index(new)]), limit=60)
            else:
                await asyncio.sleep(25)
                took = ''
                assert await leader() is old, 'replaced'
            # Whoever leads by what it thinks itself: one acknowledges at most.
            active = [svc for svc in members if await leads(svc)]
            going = [svc for svc in active if await writes(writers[members.index(svc)])]
            assert len(going) <= 1, [svc.dirn for svc in going]
            hosts.heal()
            begun = time.monotonic()
            for svc in members:
                await eventually(f'{svc.dirn} is well', lambda: well(svc), limit=120)
            one = await leader()
            for svc in members:
                if svc is not one:
                    await eventually(f'{svc.dirn} follows', lambda: in_step(svc), limit=120)
            await eventually('load', lambda: writes(writers[members.index(one)]), limit=60)
            print(f'ok {what}{took}; recovered {time.monotonic() - begun:.0f} s after', flush=True)
    await asyncio.sleep(1)
    one = await leader()
    acked = await check(one, [svc for svc in members if svc is not one], writers)
    print(f'ok {acked} acknowledged writes, none missing, none doubled, all three equal')
    for svc in svcs:
        svc.stop()


async def well(svc):
    cell = await info(svc)
    return cell['active'] and not cell['nexus']['readonly'] or await in_step(svc)


async def run():
    hosts = Hosts()
    try:
        hosts.make()
    except (OSError, subprocess.CalledProcessError) as e:
        print(f'skipped: network namespaces cannot be made here: {getattr(e, "stderr", e)}'.strip())
        hosts.remove()
        return
    try:
        with tempfile.TemporaryDirectory() as base:
            async with cluster() as svcs:
                await main(base, svcs, hosts)
    finally:
        hosts.remove()


asyncio.run(run())
