'''
A leader and its mirror, killed at random moments under load: every acknowledged write is there once afterwards, none is
doubled, and both have the same log and the same state.

Usage: mirror_crash.py --binary MYELIN [--rounds 5] [--seed N]
'''
import os
import time
import random
import asyncio
import argparse
import tempfile

from common import Svc, Writer, cluster, contents, copy_of, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--rounds', type=int, default=5)
pars.add_argument('--seed', type=int, default=int(time.time()))
opts = pars.parse_args()


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

    items, digest, log = await contents(lead)
    assert (digest, log) == (await contents(mirror))[1:], 'the states differ'
    assert len(set(items)) == len(items), 'a write is doubled'
    for writer in writers:
        lost = writer.lost(items)
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
