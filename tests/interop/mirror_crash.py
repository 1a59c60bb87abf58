'''
A leader and its mirror, killed at random moments under load: every acknowledged write is there once afterwards, none is
doubled, and both have the same log and the same state.

Usage: mirror_crash.py --binary MYELIN [--rounds 5] [--seed N]
'''
import os
import time
import random
import asyncio
import hashlib
import argparse
import tempfile

import synapse.lib.msgpack as s_msgpack

from common import Svc, cluster, copy_of, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--rounds', type=int, default=5)
pars.add_argument('--seed', type=int, default=int(time.time()))
opts = pars.parse_args()


class Writer:
    '''Puts numbers through one service. A number whose answer is lost is not tried again: it may be there or not.'''

    def __init__(self, svc, name):
        self.svc, self.name, self.numb, self.acked, self.done = svc, name, 0, [], False

    async def run(self):
        while not self.done:
            try:
                async with await self.svc.open() as prox:
                    while not self.done:
                        self.numb += 1
                        await asyncio.wait_for(prox.putsQueue('load', ((self.name, self.numb),)), 20)
                        self.acked.append(self.numb)
            except Exception:
                await asyncio.sleep(0.05)


async def state(svc):
    hasher = hashlib.sha256()
    items = []
    async with await svc.open() as prox:
        async for offs, item in prox.getsQueue('load', 0, wait=False):
            hasher.update(s_msgpack.en((offs, item)))
            items.append(item)
    log = hashlib.sha256()
    for entry in await svc.genr('getNexusChanges', 0, wait=False):
        log.update(s_msgpack.en(entry))
    return items, hasher.hexdigest(), log.hexdigest()


async def main(base, svcs):
    dice = random.Random(opts.seed)
    lead = Svc('jsonstor', os.path.join(base, 'lead'), opts.binary)
    with open(os.path.join(lead.dirn, 'cell.yaml'), 'w') as fd:
        fd.write('auth:passwd: secret\nnexslog:en: true\n')
    await lead.start()
    await lead.call('addQueue', 'load', {})
    dirn = os.path.join(base, 'mirror')
    await copy_of(lead, dirn, lead.url)
    mirror = Svc('jsonstor', dirn, opts.binary)
    svcs.extend((lead, mirror))
    await mirror.start()

    writers = [Writer(lead, 'lead'), Writer(mirror, 'mirror'), Writer(mirror, 'second')]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    killed = {'lead': 0, 'mirror': 0}
    for _ in range(opts.rounds):
        await asyncio.sleep(dice.uniform(0.2, 1.2))
        victims = dice.choice(([lead], [mirror], [lead, mirror]))
        for svc in victims:
            svc.kill()
            killed[os.path.basename(svc.dirn)] += 1
        await asyncio.sleep(dice.uniform(0, 0.5))
        for svc in victims:
            await svc.start()
    await asyncio.sleep(1)
    for writer in writers:
        writer.done = True
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    await same(lead, mirror)

    items, digest, log = await state(lead)
    assert (digest, log) == (await state(mirror))[1:], 'the states differ'
    assert len(set(items)) == len(items), 'a write is doubled'
    have = set(items)
    for writer in writers:
        lost = [numb for numb in writer.acked if (writer.name, numb) not in have]
        assert not lost, f'{writer.name}: acknowledged and missing: {lost}'
    acked = sum(len(writer.acked) for writer in writers)
    print(f'ok seed {opts.seed}: {opts.rounds} rounds, killed {killed}, {acked} acknowledged writes, none missing, none doubled')
    for svc in svcs:
        svc.stop()


async def run():
    with tempfile.TemporaryDirectory() as base:
        async with cluster() as svcs:
            await main(base, svcs)


asyncio.run(run())
