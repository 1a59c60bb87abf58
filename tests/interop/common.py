"""Services of both kinds as processes, for the scripts beside this one."""
import os
import sys
import time
import shutil
import signal
import socket
import asyncio
import hashlib
import subprocess
import contextlib

import synapse.telepath as s_telepath

import synapse.lib.msgpack as s_msgpack


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Svc:
    """One service in a directory: ours with a binary, the original's without."""

    def __init__(self, kind, dirn, binary=None, args=(), port=None, env=None, netns=None):
        self.netns = netns
        self.env = {**os.environ, **(env or {})}
        self.kind, self.dirn, self.binary, self.args = kind, dirn, binary, args
        self.port = free_port() if port is None else port
        self.proc = None
        os.makedirs(dirn, exist_ok=True)

    @property
    def url(self):
        return f'tcp://root:secret@127.0.0.1:{self.port}/'

    @property
    def log(self):
        return self.dirn.rstrip('/') + '.log'

    def spawn(self):
        if self.binary is None:
            argv = [sys.executable, '-m', f'synapse.servers.{self.kind}', self.dirn]
        else:
            argv = [self.binary, self.kind, self.dirn]
        argv += ['--https', '0', '--log-level', 'INFO']
        # `port` is 0 for a service whose options say where it listens.
        if self.port:
            argv += ['--telepath', f'tcp://127.0.0.1:{self.port}/']
        argv += self.args
        if self.netns:
            argv = ['ip', 'netns', 'exec', self.netns, *argv]
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen(argv, stdout=log, stderr=log, env=self.env, start_new_session=True)

    async def start(self, limit=120):
        self.spawn()
        return await self.wait(limit)

    async def wait(self, limit=120):
        for _ in range(limit * 10):
            assert self.proc.poll() is None, f'{self.dirn} ended: {self.tail()}'
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(f'cell://{self.dirn}') as proxy:
                    await proxy.getCellInfo()
                    return self
            await asyncio.sleep(0.1)
        raise AssertionError(f'{self.dirn} did not come up: {self.tail()}')

    def tail(self, size=3000):
        with contextlib.suppress(FileNotFoundError):
            return open(self.log).read()[-size:]

    def kill(self):
        if self.proc is not None and self.proc.poll() is None:
            # With the workers of the original, which would stay behind.
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()

    def stop(self, limit=40):
        if self.proc is None or self.proc.poll() is not None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(limit)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise AssertionError(f'{self.dirn} did not end: {self.tail()}')

    def open(self):
        """The local socket, whose peers are root."""
        return s_telepath.openurl(f'cell://{self.dirn}')

    async def call(self, meth, *args, **kwargs):
        async with await self.open() as proxy:
            return await getattr(proxy, meth)(*args, **kwargs)

    async def genr(self, meth, *args, **kwargs):
        async with await self.open() as proxy:
            return [item async for item in getattr(proxy, meth)(*args, **kwargs)]


class Writer:
    """Puts numbers through one service. One whose answer is lost is not tried again: it may be there or not."""

    def __init__(self, svc, name):
        self.svc, self.name, self.numb, self.acked, self.times, self.done = svc, name, 0, [], [], False

    async def run(self):
        while not self.done:
            with contextlib.suppress(Exception):
                async with await asyncio.wait_for(self.svc.open(), 20) as prox:
                    while not self.done:
                        self.numb += 1
                        await asyncio.wait_for(prox.putsQueue('load', ((self.name, self.numb),)), 20)
                        self.acked.append(self.numb)
                        self.times.append(time.monotonic())
            await asyncio.sleep(0.05)

    def lost(self, items):
        """What was acknowledged and is not among the items of the queue."""
        have = set(items)
        return [numb for numb in self.acked if (self.name, numb) not in have]


async def contents(svc):
    """The items of the queue, a hash over them with their offsets, and one over the log."""
    hasher, log, items = hashlib.sha256(), hashlib.sha256(), []
    async with await svc.open() as prox:
        async for offs, item in prox.getsQueue('load', 0, wait=False):
            hasher.update(s_msgpack.en((offs, item)))
            items.append(item)
    for entry in await svc.genr('getNexusChanges', 0, wait=False):
        log.update(s_msgpack.en(entry))
    return items, hasher.hexdigest(), log.hexdigest()


@contextlib.asynccontextmanager
async def cluster():
    """Ends what a test started, whatever happens."""
    svcs = []
    try:
        yield svcs
    except BaseException:
        for svc in svcs:
            print(f'---- {svc.dirn}\n{svc.tail()}', file=sys.stderr)
        raise
    finally:
        for svc in svcs:
            svc.kill()


# A mirror of ours that applies every change twice must be the same as its leader.
TWICE = {'MYELIN_NEXUS_TWICE': '1'}


async def copy_of(svc, dirn, mirror):
    """A mirror's directory by a copied backup."""
    name = await svc.call('runBackup', name=os.path.basename(dirn))
    shutil.copytree(os.path.join(svc.dirn, 'backups', name), dirn)
    with open(os.path.join(dirn, 'cell.yaml'), 'a') as fd:
        fd.write(f'\nmirror: {mirror}\n')
    with open(os.path.join(dirn, 'cell.mods.yaml'), 'w') as fd:
        fd.write('{}\n')


async def same(*svcs, timeout=60):
    """Every one has what the first has, also when that still makes changes of its own: async triggers run after the edit."""
    while True:
        indx = await svcs[0].call('getNexsIndx')
        for svc in svcs[1:]:
            assert await svc.call('waitNexsOffs', indx - 1, timeout=timeout), f'{svc.dirn} stays behind {indx}: {svc.tail()}'
        have = [await svc.call('getNexsIndx') for svc in svcs]
        if have == [indx] * len(svcs):
            return indx
        assert max(have[1:], default=indx) <= await svcs[0].call('getNexsIndx'), f'a mirror is ahead of {indx}: {have}'


async def check(lead, others, writers):
    '''All have the same, in which every acknowledged write is there once.'''
    await same(lead, *others)
    items, *state = await contents(lead)
    for svc in others:
        assert (await contents(svc))[1:] == tuple(state), f'{svc.dirn} has another state than {lead.dirn}'
    assert len(set(items)) == len(items), 'a write is doubled'
    for writer in writers:
        lost = writer.lost(items)
        assert not lost, f'{writer.name}: acknowledged and missing: {lost}'
    return sum(len(writer.acked) for writer in writers)


async def eventually(what, func, limit=30):
    for _ in range(limit * 10):
        with contextlib.suppress(Exception):
            if await func():
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f'not within {limit} s: {what}')


async def raises(name, coro):
    try:
        await coro
    except Exception as e:
        assert e.__class__.__name__ == name, f'{e!r} is not {name}'
        return e
    raise AssertionError(f'{name} was not raised')
