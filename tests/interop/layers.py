'''
The official client against a cortex: rows of indexes, streams of node edits, the shares of layers and views.

Usage: layers.py --binary MYELIN, or --url URL (of root, with a password) to ask any other fresh cortex the same.
'''
import os
import sys
import signal
import socket
import asyncio
import argparse
import tempfile
import subprocess
import contextlib

import synapse.common as s_common
import synapse.telepath as s_telepath

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary')
pars.add_argument('--url')
opts = pars.parse_args()


@contextlib.asynccontextmanager
async def cortex(base):
    if opts.url:
        yield opts.url
        return
    dirn = os.path.join(base, 'core')
    os.makedirs(dirn, exist_ok=True)
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    listen = f'tcp://127.0.0.1:{port}/'
    argv = [opts.binary, 'cortex', dirn, '--https', '0', '--telepath', listen, '--auth-passwd', 'secret']
    with open(os.path.join(base, 'core.log'), 'ab') as log:
        proc = subprocess.Popen(argv, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(f'cell://{dirn}') as proxy:
                    await proxy.getCellInfo()
                    break
            assert proc.poll() is None, open(os.path.join(base, 'core.log')).read()[-2000:]
            await asyncio.sleep(0.1)
        yield f'tcp://root:secret@127.0.0.1:{port}/'
    finally:
        proc.send_signal(signal.SIGTERM)
        proc.wait(20)


def share(url, path):
    '''The URL of a share of the same cortex.'''
    return url.rstrip('/') + '/cortex/' + path


async def raises(name, func):
    try:
        await func()
    except Exception as e:
        assert e.__class__.__name__ == name, f'{e!r} is not {name}'
        return e
    raise AssertionError(f'{name} was not raised')


async def rows(core, layr):
    for text in ('[ inet:ipv4=1.2.3.4 :asn=10 +#foo=(2020, 2021) +#foo:risk=5 ]',
                 '[ inet:ipv4=1.2.3.5 :asn=20 +#foo ]',
                 '[ inet:fqdn=vertex.link +#foo +#foo:risk=7 .seen=2020 ]'):
        await core.callStorm(text)
    ipv4 = [s_common.buid(('inet:ipv4', 0x01020304)), s_common.buid(('inet:ipv4', 0x01020305))]
    fqdn = s_common.buid(('inet:fqdn', 'vertex.link'))

    async def get(name, *args, **kwargs):
        return [item async for item in getattr(core, name)(layr, *args, **kwargs)]

    both = [(ipv4[0], 0x01020304), (ipv4[1], 0x01020305)]
    assert await get('iterFormRows', 'inet:ipv4') == both
    assert await get('iterFormRows', 'inet:ipv4', stortype=4) == both
    assert await get('iterFormRows', 'inet:ipv4', stortype=4, startvalu=0x01020305) == both[1:]
    assert await get('iterFormRows', 'inet:fqdn', stortype=17, startvalu='') == [
        (s_common.buid(('inet:fqdn', 'link')), 'link'), (fqdn, 'vertex.link')]
    assert await get('iterFormRows', 'inet:newp') == []
    found = await get('iterPropRows', 'inet:ipv4', 'asn')
    assert found == [(ipv4[0], 10), (ipv4[1], 20)], found
    assert await get('iterPropRows', 'inet:ipv4', 'asn', stortype=9, startvalu=11) == [(ipv4[1], 20)]
    seen = (1577836800000, 1577836800001)
    assert await get('iterUnivRows', '.seen') == [(fqdn, seen)]
    tags = await get('iterTagRows', 'foo')
    assert len(tags) == 3
    assert {item[0]: item[1] for item in tags} == {
        ipv4[0]: ((1577836800000, 1609459200000), 'inet:ipv4'),
        ipv4[1]: ((None, None), 'inet:ipv4'),
        fqdn: ((None, None), 'inet:fqdn')}
    assert await get('iterTagRows', 'foo', form='inet:ipv4') == tags[:2]
    for size, (buid, (_, form)) in enumerate(tags):
        assert await get('iterTagRows', 'foo', starttupl=(buid, form)) == tags[size:]
    assert await get('iterTagRows', 'foo', form='inet:fqdn', starttupl=(tags[0][0], 'inet:ipv4')) == []
    assert await get('iterTagPropRows', 'foo', 'risk') == [(ipv4[0], 5), (fqdn, 7)]
    assert await get('iterTagPropRows', 'foo', 'risk', form='inet:fqdn', stortype=9, startvalu=6) == [(fqdn, 7)]
    await raises('NoSuchLayer', lambda: anext(aiter(core.iterFormRows(s_common.guid(), 'inet:ipv4'))))


async def syncs(core, url, layr):
    async with await s_telepath.openurl(share(url, f'layer/{layr}')) as prox:
        assert await prox.getIden() == layr
        size, indx = await prox.getEditSize(), await prox.getEditIndx()
        assert 0 < size <= indx
        old = [item async for item in prox.syncNodeEdits2(0, wait=False)]
        assert len(old) == size and old[-1][0] == indx - 1 and 'user' in old[0][2]
        assert [item async for item in prox.syncNodeEdits(0, wait=False)] == [item[:2] for item in old]
        back = [item async for item in prox.syncNodeEdits(indx, wait=False, reverse=True)]
        assert back == [item[:2] for item in reversed(old)]
        assert [item async for item in core.syncLayerNodeEdits(0, layriden=layr, wait=False)] == [i[:2] for i in old]

        live = prox.syncNodeEdits2(indx)
        task = asyncio.create_task(anext(aiter(live)))
        await asyncio.sleep(0.2)
        await core.callStorm('[ inet:ipv4=5.5.5.5 ]')
        offs, edits, meta = await asyncio.wait_for(task, 10)
        assert offs >= indx and edits[0][1] == 'inet:ipv4' and meta['user']

        every = [item async for item in prox.iterLayerNodeEdits()]
        assert {item[1] for item in every} >= {'inet:ipv4', 'inet:fqdn', 'syn:tag'}
        assert all(item[2][0][0] == 0 for item in every)

        buid = s_common.buid(('it:dev:int', 30))
        edit = (buid, 'it:dev:int', ((0, (30, 9), ()),))
        stored = await prox.storNodeEdits([edit])
        assert stored[0][0] == buid and stored[0][1]['valu'] == (30, 9) and stored[0][2][0] == (0, (30, 9), ())
        assert await prox.storNodeEditsNoLift([(buid, 'it:dev:int', ((4, ('foo', (None, None), None), ()),))]) is None
        root = (await core.getCellUser())['iden']
        offs, changed = await prox.saveNodeEdits([(buid, 'it:dev:int', ((5, ('foo', None), ()),))], {'user': root})
        assert offs == await prox.getEditIndx() - 1
        assert changed == ((buid, 'it:dev:int', ((5, ('foo', (None, None)), ()),)),)
        assert await core.count('it:dev:int=30 -#foo') == 1

    events = [item async for item in core.syncLayersEvents(offsdict={layr: indx}, wait=False)]
    assert events and all(item[1] == layr and item[2] == 0 for item in events)
    matchdef = {'forms': ['it:dev:int'], 'props': ['inet:ipv4:asn'], 'tags': ['foo'], 'tagprops': ['risk']}
    kinds = [item[3][2] async for item in core.syncIndexEvents(matchdef, wait=False)]
    assert {0, 2, 4, 5, 6} <= set(kinds), kinds

    live = core.syncLayersEvents(offsdict={layr: 10 ** 9}, wait=True)
    task = asyncio.create_task(anext(aiter(live)))
    await asyncio.sleep(0.3)
    made = await core.callStorm('return($lib.layer.add().iden)')
    item = await asyncio.wait_for(task, 10)
    assert item[1:] == (made, 3, (), {}), item


async def views(core, url, layr):
    view = await core.callStorm('return($lib.view.get().iden)')
    async with await s_telepath.openurl(share(url, f'view/{view}')) as prox:
        assert await prox.getCellIden() == view
        indx = await prox.getEditSize()
        assert indx > 0
        buid = s_common.buid(('it:dev:int', 31))
        await core.callStorm('$lib.trigger.add(({"cond": "node:add", "form": "it:dev:int", "storm": "[ +#hit ]"}))')
        assert await prox.storNodeEdits([(buid, 'it:dev:int', ((0, (31, 9), ()),))], None) is None
        assert await core.count('it:dev:int=31 +#hit') == 1
        assert len([item async for item in prox.syncNodeEdits2(0, wait=False)]) > indx
        await raises('BadArg', lambda: prox.saveNodeEdits([], {'user': 'newp'}))
        root = (await core.getCellUser())['iden']
        buid = s_common.buid(('it:dev:int', 32))
        offs, changed = await prox.saveNodeEdits([(buid, 'it:dev:int', ((0, (32, 9), ()),))], {'user': root})
        assert changed[0][0] == buid and await core.count('it:dev:int=32') == 1
    await raises('NoSuchLayer', lambda: s_telepath.openurl(share(url, f'layer/{s_common.guid()}')))
    await raises('NoSuchPath', lambda: s_telepath.openurl(share(url, f'view/{s_common.guid()}')))


async def perms(core, url, layr):
    await core.callStorm('$u = $lib.auth.users.add(visi) $u.setPasswd(secret)')
    async with await s_telepath.openurl(url.replace('root:', 'visi:')) as user:
        for func in (lambda: anext(aiter(user.iterFormRows(layr, 'inet:ipv4'))),
                     lambda: anext(aiter(user.syncLayersEvents(wait=False))),
                     lambda: anext(aiter(user.syncIndexEvents({}, wait=False))),
                     lambda: anext(aiter(user.syncLayerNodeEdits(0, wait=False))),
                     lambda: user.addNode('inet:ipv4', '9.9.9.9')):
            await raises('AuthDeny', func)
        await core.callStorm('$lib.auth.users.byname(visi).addRule(([true, ["layer", "read", $iden]]))', opts={'vars': {'iden': layr}})
        assert await anext(aiter(user.iterFormRows(layr, 'inet:ipv4')))
        await core.callStorm('$lib.auth.users.byname(visi).addRule(([true, ["node"]]))')
        node = await user.addNode('inet:ipv4', '9.9.9.9', props={'asn': 99})
        assert node[0] == ('inet:ipv4', 0x09090909) and node[1]['props']['asn'] == 99
        await raises('NoSuchForm', lambda: user.addNode('inet:newp', 'x'))
        async with await s_telepath.openurl(share(url.replace('root:', 'visi:'), f'layer/{layr}')) as prox:
            assert await prox.getIden() == layr
            await raises('AuthDeny', lambda: prox.storNodeEditsNoLift([]))
            await raises('AuthDeny', lambda: prox.saveNodeEdits([], {}))


async def versions(base):
    '''A layer of a newer data model, or of an older one with nodes, is refused; an older one without is moved on.'''
    import synapse.lib.lmdbslab as s_lmdbslab

    async def edit(dirn, idens, vers):
        async with await s_lmdbslab.Slab.anit(os.path.join(dirn, 'slabs', 'cell.lmdb')) as slab:
            layers = slab.getSafeKeyVal('cortex').getSubKeyVal('layer:info:')
            for iden in idens:
                info = layers.get(iden)
                info['model:version'] = vers
                layers.set(iden, info)

    dirn = os.path.join(base, 'core')
    argv = [opts.binary, 'cortex', dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0']
    async with cortex(base) as url:
        async with await s_telepath.openurl(url) as core:
            full = await core.callStorm('[ inet:ipv4=1.2.3.4 ] return($lib.layer.get().iden)')
            bare = await core.callStorm('return($lib.layer.add().iden)')
    for idens, vers in (([full], (0, 3, 0)), ([full], (0, 2, 36)), ([bare], (9, 9, 9))):
        await edit(dirn, idens, vers)
        proc = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert proc.returncode != 0 and 'CantRevLayer' in proc.stderr, proc.stderr[-2000:]
        await edit(dirn, idens, (0, 2, 37))
    await edit(dirn, [bare], (0, 2, 30))
    async with cortex(base) as url:
        async with await s_telepath.openurl(url) as core:
            info = await core.callStorm('return($lib.layer.get($iden).pack())', opts={'vars': {'iden': bare}})
            assert info['model:version'] == (0, 2, 37), info


async def main():
    with tempfile.TemporaryDirectory() as base:
        async with cortex(base) as url:
            async with await s_telepath.openurl(url) as core:
                layr = await core.callStorm('return($lib.layer.get().iden)')
                await core.addTagProp('risk', ('int', {}), {})
                await rows(core, layr)
                await syncs(core, url, layr)
                await views(core, url, layr)
                await perms(core, url, layr)
    if not opts.url:
        with tempfile.TemporaryDirectory() as base:
            await versions(base)
    print('layers: rows, syncs, shares and permissions hold')


asyncio.run(main())
