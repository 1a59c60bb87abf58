'''
What a mirror holds is compared with what its leader holds while both work: no false alarm under load and after kills, and
a change behind the mirror's back is an error in both logs, a metric and a failed health check, until the mirror is rebuilt.

Usage: mirror_sums.py --binary MYELIN
'''
import os
import asyncio
import argparse
import tempfile

import lmdb
import yaml

import synapse.lib.msgpack as s_msgpack

from common import Svc, cluster, copy_of, eventually, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()


async def sums(svc):
    return (await svc.call('getCellInfo'))['myelin']['sums']


async def compared(svc, indx):
    info = await sums(svc)
    return info.get('offset', -1) >= indx and info['unknown'] == 0


async def agree(lead, mirror):
    indx = await same(lead, mirror)
    await eventually('compared', lambda: compared(mirror, indx))
    info = await sums(mirror)
    assert not info['differ'], info
    return info


def change(dirn, table, func):
    '''Changes the first row for which there is a change.'''
    with lmdb.open(dirn, max_dbs=256, map_size=2 ** 32) as env:
        with env.begin(write=True) as xact:
            curs = xact.cursor(db=env.open_db(table, txn=xact))
            for lkey, lval in curs:
                new = func(lkey, s_msgpack.un(lval))
                if new is not None:
                    xact.put(lkey, s_msgpack.en(new), db=env.open_db(table, txn=xact))
                    return
    raise AssertionError('nothing to change')


def other_name(lkey, sode):
    valu = sode.get('props', {}).get('name')
    if valu is not None:
        sode['props']['name'] = ('somebody else', valu[1])
        return sode


def other_user(lkey, info):
    if lkey.startswith(b'user:info:') and info.get('name') == 'visi':
        return {**info, 'admin': True}


async def load(svc, numb, count):
    async with await svc.open() as prox:
        for i in range(count):
            text = '''
                [ inet:asn=$numb :name=`as {$numb}` +#foo.bar=(2020, 2021) +#foo.bar:score=$i <(refs)+ {[ ou:org=* ]} ]
                $node.data.set(note, ({"i": $i}))
                $lib.user.vars.set(last, $i)
                | spin
            ''' if i % 5 else 'inet:asn=$numb | delnode --force'
            await prox.callStorm(text, opts={'vars': {'numb': numb + i % 7, 'i': i}})


async def main(base, svcs):
    lead = Svc('cortex', os.path.join(base, 'lead'), opts.binary)
    with open(os.path.join(lead.dirn, 'cell.yaml'), 'w') as fd:
        fd.write('auth:passwd: secret\nmirror:check: 1\n')
    svcs.append(lead)
    await lead.start()
    await lead.call('callStorm', '$lib.model.ext.addTagProp(score, (int, ({})), ({}))')
    await lead.call('addUser', 'visi')
    await load(lead, 0, 10)
    dirn = os.path.join(base, 'mirror')
    await copy_of(lead, dirn, lead.url)
    with open(os.path.join(dirn, 'cell.yaml')) as fd:
        options = yaml.safe_load(fd)
    # Each has its own, which is no difference.
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        yaml.safe_dump({**options, 'auth:passwd': 'of the mirror alone'}, fd)
    mirror = Svc('cortex', dirn, opts.binary)
    svcs.append(mirror)
    await mirror.start()
    info = await agree(lead, mirror)
    assert info['parts'] >= 2, info

    await asyncio.gather(load(lead, 100, 120), load(mirror, 200, 120), load(lead, 300, 120))
    await agree(lead, mirror)
    for svc in (lead, mirror):
        task = asyncio.create_task(load(lead if svc is mirror else mirror, 400, 10 ** 6))
        await asyncio.sleep(1)
        svc.kill()
        task.cancel()
        await svc.start()
        await agree(lead, mirror)
    for svc in (lead, mirror):
        assert 'diverged' not in svc.tail(10 ** 7) and 'something else' not in svc.tail(10 ** 7), svc.tail()
    print(f'ok {info["parts"]} parts agree under load and after kills')

    layer = (await lead.call('callStorm', 'return($lib.layer.get().iden)'))
    damage = [
        (f'layer:{layer}', f'layers/{layer}/layer_v2.lmdb', b'bybuidv3', other_name),
        ('auth', 'slabs/cell.lmdb', b'auth', other_user),
    ]
    for name, slab, table, func in damage:
        mirror.stop()
        change(os.path.join(dirn, slab), table, func)
        await mirror.start()
        await eventually('the difference is noticed', lambda: differs(mirror, [name]), limit=20)
        await eventually('the leader knows', lambda: known(lead, mirror, name))
        health = await mirror.call('getHealthCheck')
        assert health['status'] == 'failed' and any(comp['name'] == 'mirror' for comp in health['components']), health
        assert 'holds something else than its leader' in mirror.tail(10 ** 7)
        await eventually('the leader says so', lambda: logged(lead, 'a mirror holds something else'))
        # It follows on, and with the option it is rebuilt.
        await load(lead, 500, 10)
        await same(lead, mirror)
        with open(os.path.join(dirn, 'cell.mods.yaml'), 'w') as fd:
            yaml.safe_dump({'mirror:resync': True}, fd)
        mirror.stop()
        await mirror.start()
        await eventually('rebuilt', lambda: logged(mirror, 'rebuilt from the leader'), limit=60)
        await mirror.wait()
        await agree(lead, mirror)
        with open(os.path.join(dirn, 'cell.mods.yaml'), 'w') as fd:
            fd.write('{}\n')
        open(mirror.log, 'w').close()
        open(lead.log, 'w').close()
        print(f'ok a change in {name} is noticed, and the mirror is rebuilt')
    for svc in svcs:
        svc.stop()
        done = os.system(f'{opts.binary} tool service.verify --quiet {svc.dirn}')
        assert done == 0, (svc.dirn, done)


async def differs(svc, names):
    return list((await sums(svc)).get('differ', ())) == names


async def known(lead, mirror, name):
    run = await mirror.call('getCellRunId')
    return name in (await sums(lead))['members'].get(run, ())


async def logged(svc, text):
    return text in svc.tail(10 ** 7)


async def run():
    with tempfile.TemporaryDirectory() as base:
        async with cluster() as svcs:
            await main(base, svcs)


asyncio.run(run())
