'''
Mirrors of the small services from copied backups, of both kinds at once: our leader with a mirror of ours, one of the
original's, and one of ours that follows the latter; then the same with the original as leader.

Usage: mirror_copies.py --binary MYELIN [axon] [jsonstor]
'''
import os
import asyncio
import argparse
import tempfile

from common import TWICE, Svc, cluster, copy_of, eventually, raises, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('only', nargs='*')
opts = pars.parse_args()


async def write_axon(svc, tag):
    async with await svc.open() as prox:
        size, sha = await prox.put(os.urandom(5_000_000))
        assert size == 5_000_000
        for i in range(20):
            await prox.put(f'{tag}{i}'.encode())
        (_, gone) = await prox.put(f'{tag} gone'.encode())
        assert await prox.del_(gone)
        return sha


async def state_axon(svc):
    async with await svc.open() as prox:
        hashes = [(item[1][0].hex(), item[1][1]) async for item in prox.hashes(0)]
        metrics = await prox.metrics()
        byts = [b async for b in prox.get(bytes.fromhex(max(hashes, key=lambda item: item[1])[0]))]
        return sorted(hashes), metrics, b''.join(byts), await state_cell(prox)


async def write_jsonstor(svc, tag):
    async with await svc.open() as prox:
        await prox.setPathObj(f'{tag}/a', {'hehe': {'haha': 1}})
        assert await prox.setPathObjProp(f'{tag}/a', 'hehe/haha', 2)
        await prox.setPathLink(f'{tag}/b', f'{tag}/a')
        await prox.copyPathObj(f'{tag}/a', f'{tag}/c')
        await prox.addQueue(f'{tag}q', {})
        assert await prox.putsQueue(f'{tag}q', ('a', 'b', 'c')) == 0
        await prox.cullQueue(f'{tag}q', 0)
        await prox.addUserNotif('a' * 32, 'type', {'hi': tag})
        await prox.setPathObj(f'{tag}/d', 1)
        await prox.delPathObj(f'{tag}/d')


async def state_jsonstor(svc):
    async with await svc.open() as prox:
        # Queues of the store are read as long as there are items, and then waited for.
        queues = []
        for name in ('one', 'two', 'three'):
            queues.append([item async for item in prox.getsQueue(f'{name}q', 0, wait=False, size=10)]
                          if await prox.getPathObj(f'{name}/a') else None)
        objs = [item async for item in prox.getPathObjs('')]
        paths = [item async for item in prox.getPathList('')]
        notifs = [item async for item in prox.iterUserNotifs('a' * 32)]
        return sorted(objs), sorted(paths), notifs, queues, await state_cell(prox)


async def state_cell(prox):
    users = [{k: v for k, v in user.items() if k != 'passwd'} for user in await prox.getUserDefs()]
    keys = sorted((key['iden'], key['name']) for key in await prox.listUserApiKeys())
    return users, await prox.getRoleDefs(), keys


async def write_cell(svc, tag):
    async with await svc.open() as prox:
        user = await prox.addUser(f'{tag}user', passwd='newp', email=f'{tag}@vertex.link')
        role = await prox.addRole(f'{tag}role')
        await prox.addUserRole(user['iden'], role['iden'])
        await prox.addUserRule(user['iden'], (True, ('foo', 'bar')))
        await prox.addRoleRule(role['iden'], (False, ('baz',)))
        await prox.setUserProfInfo(user['iden'], 'hehe', {'haha': 10})
        await prox.addUserApiKey('key', useriden=user['iden'])
        gone = await prox.addUser(f'{tag}gone')
        await prox.delUser(gone['iden'])


WRITE = {'axon': write_axon, 'jsonstor': write_jsonstor}
STATE = {'axon': state_axon, 'jsonstor': state_jsonstor}


async def follow(kind, base, ours_leads):
    """A leader, mirrors of both kinds, and one that follows a mirror."""
    base = os.path.join(base, f'{kind}-{"ours" if ours_leads else "theirs"}')
    os.makedirs(base)
    write, state = WRITE[kind], STATE[kind]
    async with cluster() as svcs:
        binary = opts.binary if ours_leads else None
        lead = Svc(kind, os.path.join(base, 'lead'), binary)
        with open(os.path.join(lead.dirn, 'cell.yaml'), 'w') as fd:
            fd.write('auth:passwd: secret\nnexslog:en: true\n')
        svcs.append(lead)
        await lead.start()
        await write(lead, 'one')
        await write_cell(lead, 'one')

        mirrors = []
        for name, binary, source in (('ours', opts.binary, lead), ('theirs', None, lead), ('chained', opts.binary, None)):
            dirn = os.path.join(base, name)
            source = source or mirrors[1]
            await copy_of(lead, dirn, source.url)
            mirrors.append(Svc(kind, dirn, binary, env=TWICE if name == 'chained' else None))
        # What is written before a mirror starts is caught up with, what is written after comes in the real-time window.
        await write(lead, 'two')
        svcs.extend(mirrors)
        await asyncio.gather(*[mirror.start() for mirror in mirrors])
        await same(lead, *mirrors)
        ours, theirs, chained = mirrors

        # A change asked of any of them is made by the leader; the answer comes when it is applied here.
        await write(ours, 'three')
        await same(lead, *mirrors)
        await write_cell(chained, 'three')
        await write_cell(theirs, 'four')
        await raises('DupUserName', ours.call('addUser', 'threeuser'))
        await same(lead, *mirrors)
        want = await state(lead)
        for mirror in mirrors:
            got = await state(mirror)
            assert got == want, f'{mirror.dirn}\n{got}\n{want}'
            info = await mirror.call('getCellInfo')
            cell = info['cell']
            assert not cell['active'] and cell['uplink'] and cell['ready'], cell
            assert cell['mirror'].startswith('tcp://root:****@127.0.0.1'), cell
            assert cell['nexus']['uplink:ready'] and not cell['nexus']['readonly'], cell
        logs = [await svc.genr('getNexusChanges', 0, wait=False) for svc in (lead, ours, theirs, chained)]
        assert all(log == logs[0] for log in logs), 'the logs differ'

        # The leader goes and comes back: mirrors reconnect by themselves.
        lead.stop()
        await eventually('the link is lost', lambda: down(ours))
        await lead.start()
        await write(lead, 'five')
        await same(lead, *mirrors)

        # It is lost for good: one takes over, and a change can be made there.
        lead.kill()
        await raises('NeedConfValu', ours.call('promote', graceful=True))
        await ours.call('promote')
        assert await ours.call('isCellActive')
        await write_cell(ours, 'six')
        await raises('BadConfValu', ours.call('promote'))
        # The choice survives a restart.
        ours.stop()
        await ours.start()
        assert await ours.call('isCellActive')
        for svc in mirrors:
            svc.stop()


async def down(svc):
    return not (await svc.call('getCellInfo'))['cell']['uplink']


async def main():
    with tempfile.TemporaryDirectory() as base:
        for kind in WRITE:
            if opts.only and kind not in opts.only:
                continue
            for ours_leads in (True, False):
                await follow(kind, base, ours_leads)
                print(f'ok {kind}: {"ours" if ours_leads else "the original"} leads')


asyncio.run(main())
