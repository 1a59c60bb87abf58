'''
The data model as clients read it, from a cortex of ours and one of the original that were told the same: equal in all but
docs, before and after the model was extended, over telepath and HTTP. Then a directory of the original whose model is
older or newer than ours.

Usage: models.py --binary MYELIN
'''
import os
import sys
import json
import asyncio
import argparse
import tempfile
import contextlib

import aiohttp

import synapse.lib.lmdbslab as s_lmdbslab

from common import Svc, cluster, free_port

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()

EXTENSIONS = (
    '$lib.model.ext.addType("_acme:name", str, ({"lower": true}), ({"doc": "A name."}))',
    '$lib.model.ext.addForm("_acme:thing", guid, ({}), ({"doc": "A thing.", "interfaces": ["taxonomy"]}))',
    '$lib.model.ext.addForm("_acme:kind", taxonomy, ({}), ({"doc": "A kind.", "interfaces": ["meta:taxonomy"]}))',
    '$lib.model.ext.addForm("_acme:size", int, ({"min": 3, "max": 10}), ({"doc": "A size."}))',
    '$lib.model.ext.addFormProp("_acme:size", "_name", (["_acme:name", {}]), ({"doc": "Its name."}))',
    '$lib.model.ext.addFormProp(inet:ipv4, "_score", (["int", {"enums": [[1, "low"], [2, "high"]]}]), ({"doc": "A score."}))',
    '$lib.model.ext.addFormProp(inet:ipv4, "_names", (["array", {"type": "str", "split": ","}]), ({"doc": "Names."}))',
    '$lib.model.ext.addUnivProp("_seen", (["ival", {}]), ({"doc": "A univ."}))',
    '$lib.model.ext.addTagProp("_conf", (["int", {"min": 0, "max": 100}]), ({"doc": "A tag prop."}))',
    '$lib.model.ext.addEdge(inet:ipv4, "_likes", inet:fqdn, ({"doc": "An edge."}))',
    '$lib.model.ext.addEdge((null), "_knows", (null), ({"doc": "An edge of all."}))',
    '$lib.model.ext.delFormProp(inet:ipv4, "_names")',
    '$lib.model.ext.delEdge((null), "_knows", (null))',
)

NORMS = (('inet:ipv4', '1.2.3.4'), ('inet:ipv4', 'newp'), ('newp', 1), ('inet:ipv4:asn', '20'), ('inet:url', 'http://a.b/c?d'),
         ('inet:dns:a', ('Vertex.Link', '1.2.3.4')), ('_acme:size', 20), ('_acme:size', 5), ('.seen', '2020'))

# What is text for people. One property of the original has its doc under the key date.
TEXT = {'doc', 'date', 'ex', 'summary', 'desc', 'title', 'description', '$id', '$comment', 'examples'}


def facts(valu):
    if isinstance(valu, dict):
        return {key: facts(item) for key, item in valu.items() if key not in TEXT}
    if isinstance(valu, (list, tuple)):
        return [facts(item) for item in valu]
    return valu


def differ(path, ours, theirs, found):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in {**ours, **theirs}:
            if key not in ours or key not in theirs:
                found.append(f'{path}/{key}: only {"theirs" if key in theirs else "ours"}')
                continue
            differ(f'{path}/{key}', ours[key], theirs[key], found)
        return
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for indx, (one, two) in enumerate(zip(ours, theirs)):
            differ(f'{path}/{indx}', one, two, found)
        return
    if ours != theirs or type(ours) is not type(theirs):
        found.append(f'{path}: ours {str(ours)[:200]}, theirs {str(theirs)[:200]}')


def check(what, ours, theirs):
    found = []
    differ('', facts(ours), facts(theirs), found)
    size = len(json.dumps(facts(theirs), default=str))
    print(f'{what}: {len(found)} differences in {size} bytes')
    for line in found[:15]:
        print(f'    {line}')
    return len(found)


async def http(svc):
    auth = aiohttp.BasicAuth('root', 'secret')
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False), auth=auth) as sess:
        base = f'https://127.0.0.1:{svc.https}/api/v1'
        async with sess.get(f'{base}/model') as resp:
            model = await resp.json()
            assert model['status'] == 'ok', model
        norms = []
        for query in ('prop=inet:ipv4&value=1.2.3.4', 'prop=inet:url&value=http://a.b/c', 'prop=newp&value=1',
                      'prop=inet:ipv4&value=newp', 'prop=inet:ipv4:asn&value=20', 'value=1', 'prop=ou:org'):
            async with sess.get(f'{base}/model/norm?{query}') as resp:
                norms.append(await resp.json())
        body = {'prop': 'inet:dns:a', 'value': ['vertex.link', '1.2.3.4']}
        async with sess.post(f'{base}/model/norm', json=body) as resp:
            norms.append(await resp.json())
        for norm in norms:
            norm.pop('mesg', None)
        return model, norms


async def norm(svc, name, valu):
    '''A norm by property or type name, or the name of what it raised.'''
    found = []
    for meth in ('getPropNorm', 'getTypeNorm'):
        try:
            found.append(await svc.call(meth, name, valu))
        except Exception as e:
            info = {key: valu for key, valu in e.errinfo.items() if key not in ('mesg', 'efile', 'eline', 'esrc', 'ename')}
            found.append([e.__class__.__name__, info])
    return found


async def shapes(svc):
    yield 'getModelDict', await svc.call('getModelDict')
    yield 'getModelDefs', await svc.call('getModelDefs')
    yield 'getPropNorm', [await norm(svc, name, valu) for name, valu in NORMS]
    model, norms = await http(svc)
    yield 'GET model', model
    yield 'GET model/norm', norms


async def same(ours, theirs, when):
    mine = {name: valu async for name, valu in shapes(ours)}
    count = 0
    async for name, valu in shapes(theirs):
        count += check(f'{name} {when}', mine.get(name), valu)
    return count


async def begin(svc, tries=5):
    '''Starts the original, which gives its workers only 30 seconds: too few where much else goes on.'''
    for left in reversed(range(tries)):
        try:
            return await svc.start()
        except AssertionError:
            svc.kill()
            if not left:
                raise


async def alter(dirn, func):
    '''Changes what a stopped cortex has stored.'''
    async with await s_lmdbslab.Slab.anit(os.path.join(dirn, 'slabs', 'cell.lmdb')) as slab:
        func(slab)


def set_cortex_version(vers):
    def func(slab):
        slab.getSafeKeyVal('cell:info').set('cortex:version', vers)
    return func


def set_model_version(vers):
    def func(slab):
        layers = slab.getSafeKeyVal('cortex').getSubKeyVal('layer:info:')
        found = list(layers.items())
        assert found, 'no layers'
        for iden, ldef in found:
            ldef = dict(ldef)
            ldef['model:version'] = vers
            layers.set(iden, ldef)
    return func


def refused(svc, words):
    '''A cortex that does not start, and says why.'''
    before = os.path.getsize(svc.log)
    svc.spawn()
    code = svc.proc.wait(60)
    said = open(svc.log).read()[before:]
    assert code != 0, said
    for word in words:
        assert word in said, f'{word!r} is not in what was said: {said[-1500:]}'
    print(f'    refused: {[line for line in said.splitlines() if words[0] in line][-1][:400]}')


async def versions(base, svcs):
    '''A directory of the original, taken over by ours, and with versions that are not ours.'''
    dirn = os.path.join(base, 'taken')
    first = Svc('cortex', dirn, None, ('--auth-passwd', 'secret'))
    svcs.append(first)
    await begin(first)
    await first.call('callStorm', EXTENSIONS[3])
    await first.call('callStorm', '[ inet:ipv4=1.2.3.4 :asn=20 _acme:size=5 ]')
    first.stop()

    svc = Svc('cortex', dirn, opts.binary, ())
    svcs.append(svc)
    await svc.start()
    assert await svc.call('callStorm', 'inet:ipv4 return(:asn)') == 20
    assert await svc.call('callStorm', '_acme:size return($node.value())') == 5
    svc.stop()

    for vers, word in (((3, 0, 0), 'newer'), ((0, 1, 9), '2.256')):
        await alter(dirn, set_cortex_version(vers))
        refused(svc, ('BadStorageVersion', word))
    await alter(dirn, set_cortex_version((2, 256, 0)))
    for vers, word in (((0, 2, 38), 'newer'), ((0, 2, 36), '2.256')):
        await alter(dirn, set_model_version(vers))
        refused(svc, ('CantRevLayer', word))

    # What we send users to does what we say: the original brings the older one up, and then ours reads it.
    await begin(first)
    first.stop()
    await svc.start()
    assert await svc.call('callStorm', 'inet:ipv4 return(:asn)') == 20
    svc.stop()

    # Without nodes there is nothing to migrate.
    fresh = Svc('cortex', os.path.join(base, 'fresh'), opts.binary, ())
    svcs.append(fresh)
    await fresh.start()
    fresh.stop()
    await alter(fresh.dirn, set_model_version((0, 2, 30)))
    await fresh.start()
    ldef = await fresh.call('callStorm', 'return($lib.layer.get())')
    assert tuple(ldef['model:version']) == (0, 2, 37), ldef
    fresh.stop()
    print('versions: ours reads what the original made, and refuses what is not of its version')


async def main():
    with tempfile.TemporaryDirectory(dir='/dev/shm') as base:
        async with cluster() as svcs:
            for binary in (opts.binary, None):
                https = free_port()
                args = ('--auth-passwd', 'secret', '--https', str(https))
                svc = Svc('cortex', os.path.join(base, 'ours' if binary else 'theirs'), binary, args)
                svc.https = https
                svcs.append(svc)
            ours, theirs = svcs
            await ours.start()
            await begin(theirs)
            count = await same(ours, theirs, 'at first')
            for text in EXTENSIONS:
                for svc in svcs:
                    try:
                        await svc.call('callStorm', text)
                    except Exception as e:
                        print(f'{os.path.basename(svc.dirn)}: {text}: {e!r}'[:300])
            count += await same(ours, theirs, 'extended')
            for svc in svcs:
                svc.stop()
            await versions(base, svcs)
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
