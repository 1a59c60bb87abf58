'''
Automatic failover: AHA replaces a leader that was killed by the mirror that has every acknowledged write, and the old leader
follows it when it is back. Without enough mirrors nothing is acknowledged, and nobody is promoted.

Usage: mirror_failover.py --binary MYELIN
'''
import os
import asyncio
import argparse
import tempfile

import yaml

from common import Svc, cluster, eventually, free_port, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()
NET = 'loop.link'


def conf(dirn, options):
    os.makedirs(dirn, exist_ok=True)
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        yaml.safe_dump(options, fd)


async def in_step(svc):
    cell = (await svc.call('getCellInfo'))['cell']
    return not cell['active'] and cell['ready'] and cell['uplink']


async def main(base, svcs):
    ahadir = os.path.join(base, 'aha')
    conf(ahadir, {'aha:network': NET, 'dns:name': 'localhost', 'aha:failover': True,
                  'dmon:listen': f'ssl://127.0.0.1:{free_port()}?hostname=localhost&ca={NET}',
                  'provision:listen': f'ssl://127.0.0.1:{free_port()}?hostname=localhost'})
    aha = Svc('aha', ahadir, opts.binary, port=0)
    svcs.append(aha)
    await aha.start()
    both = {'aha:failover': True, 'nexus:min_mirrors': 1}

    async def join(name, **provinfo):
        url = await aha.call('addAhaSvcProv', name, provinfo={'conf': both, **provinfo})
        dirn = os.path.join(base, name)
        conf(dirn, {'aha:provision': url})
        svc = Svc('jsonstor', dirn, opts.binary, port=0)
        svcs.append(svc)
        await svc.start()
        return svc

    one = await join('00.stor')
    alone = asyncio.create_task(one.call('setPathObj', 'alone', 1))
    await asyncio.sleep(1)
    assert not alone.done(), 'acknowledged without a mirror'
    two = await join('01.stor', mirror='stor')
    await eventually('in step', lambda: in_step(two))
    await asyncio.wait_for(alone, 30)

    await one.call('addQueue', 'load', {})
    acked = []

    async def load():
        async with await one.open() as prox:
            while True:
                await prox.putsQueue('load', (len(acked),))
                acked.append(len(acked))

    task = asyncio.create_task(load())
    await asyncio.sleep(1)
    one.kill()
    await asyncio.wait((task,), timeout=20)
    assert acked
    await eventually('the mirror is promoted', lambda: two.call('isCellActive'), limit=60)
    async with await two.open() as prox:
        have = [item[1] async for item in prox.getsQueue('load', 0, wait=False)]
    assert have[:len(acked)] == acked, 'an acknowledged write is missing'
    assert len(have) <= len(acked) + 1
    await one.start()
    await eventually('the old leader follows', lambda: in_step(one), limit=60)
    await two.call('setPathObj', 'after', 1)
    await same(two, one)
    assert await one.call('getPathObj', 'after') == 1
    print(f'ok failed over with {len(acked)} acknowledged writes')

    # The mirror is lost first: the leader acknowledges nothing, and AHA promotes nobody.
    one.kill()
    await asyncio.sleep(0.5)
    two.kill()
    await one.start()
    await asyncio.sleep(13)
    assert not await one.call('isCellActive'), 'promoted although the last leader may have had more'
    await two.start()
    await eventually('the leader is back', lambda: in_step(one))
    print('ok a mirror that was lost before its leader is not promoted')
    for svc in svcs:
        svc.stop()


async def run():
    with tempfile.TemporaryDirectory() as base:
        async with cluster() as svcs:
            await main(base, svcs)


asyncio.run(run())
