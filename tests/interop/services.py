'''
The official client against our aha, axon and jsonstor, and the official package as reader of what they wrote.

Usage: services.py --binary MYELIN [axon] [jsonstor] [aha] [legacy]
'''
import os
import sys
import time
import shutil
import signal
import asyncio
import argparse
import hashlib
import threading
import http.server
import tempfile
import subprocess
import contextlib

import synapse.axon as s_axon
import synapse.common as s_common
import synapse.telepath as s_telepath

import synapse.lib.aha as s_aha
import synapse.lib.jsonstor as s_jsonstor
import synapse.lib.certdir as s_certdir

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('only', nargs='*')
opts = pars.parse_args()
MYELIN = opts.binary


@contextlib.asynccontextmanager
async def service(name, dirn, *args, telepath='tcp://127.0.0.1:0'):
    os.makedirs(dirn, exist_ok=True)
    argv = [MYELIN, name, dirn, '--https', '0', '--log-level', 'INFO', *args]
    if telepath is not None:
        argv += ['--telepath', telepath]
    log = open(os.path.join(dirn, '..', f'{os.path.basename(dirn)}.log'), 'ab')
    proc = subprocess.Popen(argv, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(f'cell://{dirn}') as proxy:
                    await proxy.getCellInfo()
                    break
            assert proc.poll() is None, f'{name} ended: {open(log.name).read()[-2000:]}'
            await asyncio.sleep(0.1)
        else:
            raise AssertionError(f'{name} did not come up')
        yield proc
    finally:
        proc.send_signal(signal.SIGTERM)
        try:
            proc.wait(20)
        except subprocess.TimeoutExpired:
            proc.kill()
            raise AssertionError(f'{name} did not end')


async def raises(name, coro):
    try:
        await coro
    except Exception as e:
        assert e.__class__.__name__ == name, f'{e!r} is not {name}'
        return e
    raise AssertionError(f'{name} was not raised')


async def axon(base):
    dirn = os.path.join(base, 'axon')
    byts = b'asdfasdf'
    sha = hashlib.sha256(byts).digest()
    async with service('axon', dirn, '--nexslog-en'):
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            assert (await prox.getCellInfo())['features']['byterange'] == 1
            assert await prox.put(byts) == (8, sha)
            assert await prox.has(sha) and await prox.size(sha) == 8
            assert await prox.size(b'\x00' * 32) is None
            assert b''.join([b async for b in prox.get(sha)]) == byts
            assert b''.join([b async for b in prox.get(sha, offs=2, size=3)]) == b'dfa'
            assert [b async for b in prox.get(sha, offs=20, size=3)] == [b'']
            assert (await prox.hashset(sha))['md5'] == hashlib.md5(byts).hexdigest()
            assert await prox.wants([sha, b'\x01' * 32]) == (b'\x01' * 32,)
            big = os.urandom(40 * 1024 * 1024)
            async with await prox.upload() as upfd:
                for i in range(0, len(big), 1 << 20):
                    await upfd.write(big[i:i + (1 << 20)])
                size, bigsha = await upfd.save()
                assert (size, bigsha) == (len(big), hashlib.sha256(big).digest())
                await upfd.write(b'more')
                assert (await upfd.save())[0] == 4
            assert b''.join([b async for b in prox.get(bigsha)]) == big
            rows = b'a,"b ""c"""\r\nd\n'
            _, rsha = await prox.put(rows)
            assert [r async for r in prox.csvrows(rsha)] == [('a', 'b "c"'), ('d',)]
            assert [r async for r in prox.readlines(s_common.ehex(rsha))] == ['a,"b ""c"""', 'd']
            _, jsha = await prox.put(b'{"a": 1}\n\n[2]\n')
            assert [r async for r in prox.jsonlines(s_common.ehex(jsha))] == [{'a': 1}, (2,)]
            assert await prox.unpack(jsha, '<B') == (0x7b,)
            await raises('BadArg', prox.unpack(jsha, 'z'))
            _, esha = await prox.put(b'')
            assert [b async for b in prox.get(esha)] == []
            assert await prox.del_(jsha) is True and await prox.del_(jsha) is False
            hashes = [h async for h in prox.hashes(0)]
            assert [h[1][0] for h in hashes][0] == sha and jsha not in [h[1][0] for h in hashes]
            history = [h async for h in prox.history(0)]
            assert len(history) == 6, history
            metrics = await prox.metrics()
            assert metrics['file:count'] == 5, metrics
            await raises('NoSuchFile', prox.get(b'\x02' * 32).list())
            # requests
            async with web(base) as url:
                info = await prox.wget(f'{url}/axon.log')
                assert info['ok'] and info['code'] == 200 and info['size'] > 0, info
                assert await prox.has(s_common.uhex(info['hashes']['sha256']))
                assert info['request']['method'] == 'GET' and info['reason'] == 'OK', info
                info = await prox.wget(f'{url}/newp')
                assert info['ok'] and info['code'] == 404, info
                info = await prox.wput(sha, f'{url}/put')
                assert info['ok'] and info['code'] == 501, info
            info = await prox.wget('http://127.0.0.1:1/newp')
            assert info['ok'] is False and info['code'] == -1 and info['err'][0] == 'ClientConnectorError', info
            hashes = [h async for h in prox.hashes(0)]
            metrics = await prox.metrics()
            # permissions
            user = await prox.addUser('visi', passwd='secret')
            offs = await prox.getNexsIndx()
        async with await s_telepath.openurl(f'cell://{dirn}', user='visi') as prox:
            await raises('AuthDeny', prox.has(sha))
    # what we wrote opens in the original
    async with await s_axon.Axon.anit(dirn, conf={'nexslog:en': True, 'health:sysctl:checks': False}) as axon:
        assert await axon.getNexsIndx() == offs
        assert b''.join([b async for b in axon.get(bigsha)]) == big
        assert await axon.has(esha) and not await axon.has(jsha)
        assert dict(await axon.metrics()) == dict(metrics)
        assert [h async for h in axon.hashes(0)] == hashes
        assert (await axon.put(b'from the original'))[0] == 17
    async with service('axon', dirn, '--nexslog-en'):
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            assert await prox.has(hashlib.sha256(b'from the original').digest())
            assert (await prox.metrics())['file:count'] == metrics['file:count'] + 1


@contextlib.asynccontextmanager
async def web(dirn):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=dirn, **kwargs)

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()


async def jsonstor(base):
    dirn = os.path.join(base, 'jsonstor')
    async with service('jsonstor', dirn, '--nexslog-en'):
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            await prox.setPathObj('foo/bar', {'hi': 'there', 'n': {'x': 1}})
            assert await prox.getPathObj(('foo', 'bar')) == {'hi': 'there', 'n': {'x': 1}}
            assert await prox.setPathObjProp('foo/bar', 'n/y/z', 10)
            assert await prox.getPathObjProp('foo/bar', 'n/y') == {'z': 10}
            await prox.setPathLink('foo/link', 'foo/bar')
            assert await prox.popPathObjProp('foo/link', 'n/x') == 1
            assert await prox.delPathObjProp('foo/link', 'hi') is True
            assert await prox.cmpDelPathObjProp('foo/link', 'n/y/z', 11) is False
            await prox.copyPathObjs([('foo/bar', 'copy/bar')])
            assert [p async for p in prox.getPathList('foo')] == ['bar', 'link']
            objs = [p async for p in prox.getPathObjs('copy')]
            assert objs == [(('bar',), {'n': {'y': {'z': 10}}})], objs
            await raises('NoSuchPath', prox.setPathLink('a', 'newp'))
            assert await prox.hasPathObj('copy/bar')
            await prox.delPathObj('copy/bar')
            assert await prox.getPathObj('copy/bar') is None
            assert await prox.addQueue('q', {}) is True and await prox.addQueue('q', {}) is False
            assert await prox.putsQueue('q', ('a', 'b')) == 0
            assert [i async for i in prox.getsQueue('q', 0, wait=False)] == [(0, 'a'), (1, 'b')]
            assert [i async for i in prox.getsQueue('q', 1, size=1)] == [(1, 'b')]
            root = (await prox.getUserDefByName('root') or await prox.getUserInfo('root'))['iden']
            indx = await prox.addUserNotif(root, 'hello', {'a': 1})
            assert (await prox.getUserNotif(indx))[2:] == ('hello', {'a': 1})
            assert [n[0] async for n in prox.iterUserNotifs(root)] == [indx]
    async with await s_jsonstor.JsonStorCell.anit(dirn, conf={'nexslog:en': True, 'health:sysctl:checks': False}) as cell:
        assert await cell.getPathObj('foo/link') == {'n': {'y': {'z': 10}}}
        assert [i async for i in cell.getsQueue('q', 0, wait=False)] == [(1, 'b')]
        assert [n[0] async for n in cell.iterUserNotifs(root)] == [indx]


async def aha(base):
    dirn = os.path.join(base, 'aha')
    os.makedirs(dirn)
    conf = {
        'aha:network': 'loop.test',
        'dns:name': 'aha.loop.test',
        'dmon:listen': 'ssl://127.0.0.1:0?hostname=aha.loop.test&ca=loop.test',
        'provision:listen': 'ssl://127.0.0.1:0?hostname=aha.loop.test',
        'nexslog:en': True,
    }
    s_common.yamlsave(conf, dirn, 'cell.yaml')
    async with service('aha', dirn, telepath=None):
        assert sorted(os.listdir(os.path.join(dirn, 'certs', 'cas'))) == ['loop.test.crt', 'loop.test.key']
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            info = await prox.getCellInfo()
            assert info['features']['callpeers'] == 1
            urls = await prox.getAhaUrls()
            assert len(urls) == 1 and urls[0].endswith('certname=root@loop.test'), urls
            port = s_telepath.chopurl(urls[0])['port']
            svc = {'run': 'a' * 32, 'iden': 'd' * 32, 'leader': 'svc', 'ready': True,
                   'urlinfo': {'scheme': 'ssl', 'host': '127.0.0.1', 'port': 1111}}
            async with await s_telepath.openurl(f'cell://{dirn}') as other:
                await other.addAhaSvc('00.svc', dict(svc), network='loop.test')
                await other.addAhaSvc('svc', dict(svc), network='loop.test')
                got = await prox.getAhaSvc('00.svc...')
                assert got['svcinfo']['online'] and got['svcinfo']['urlinfo']['user'] == 'root', got
                assert await prox.modAhaSvcInfo('00.svc...', {'ready': False}) is True
                assert (await prox.getAhaSvc('00.svc...'))['svcinfo']['ready'] is False
                await raises('BadArg', prox.modAhaSvcInfo('00.svc...', {'newp': 1}))
                assert [s['name'] async for s in prox.getAhaSvcsByIden('d' * 32)] == ['00.svc.loop.test']
            for _ in range(50):
                got = await prox.getAhaSvc('00.svc...')
                if got['svcinfo'].get('online') is None:
                    break
                await asyncio.sleep(0.1)
            assert 'online' not in got['svcinfo'] and got['svcinfo']['ready'] is False, got
            assert [s['svcname'] async for s in prox.getAhaSvcs()] == ['00.svc', 'svc']
            # pools
            await prox.addAhaPool('pool00...', {})
            await raises('SchemaViolation', prox.addAhaPool('pool01...', {'newp': 1}))
            await raises('DupName', prox.addAhaPool('svc...', {}))
            await raises('BadArg', prox.getAhaSvc('pool00...'))
            pool = await prox.addAhaPoolSvc('pool00...', '00.svc...', {})
            assert list(pool['services']) == ['00.svc.loop.test']
            await raises('NoSuchName', prox.addAhaPoolSvc('pool00...', 'newp...', {}))
            assert 'services' in await prox.getAhaSvc('pool00...')
            topo = prox.iterPoolTopo('pool00...').__aiter__()
            assert (await topo.__anext__())[0] == 'svc:add'
            await prox.delAhaPoolSvc('pool00...', '00.svc...')
            assert await topo.__anext__() == ('svc:del', {'name': '00.svc.loop.test'})
            await prox.delAhaPool('pool00...')
            assert [m async for m in topo] == []
            # provisioning of an original service
            provurl = await prox.addAhaSvcProv('00.axon', {'conf': {'aha:registry': [f'ssl://127.0.0.1:{port}?hostname=aha.loop.test&certname=root@loop.test']}, 'https:port': None})
            info = s_telepath.chopurl(provurl)
            provurl = f'ssl://127.0.0.1:{info["port"]}{info["path"]}?certhash={info["certhash"]}'
            axdir = os.path.join(base, 'prov-axon')
            os.makedirs(axdir)
            conf = {'aha:provision': provurl, 'health:sysctl:checks': False}
            async with await original_axon(axdir, conf) as axon:
                for _ in range(100):
                    got = await prox.getAhaSvc('axon...')
                    if got and got['svcinfo'].get('online'):
                        break
                    await asyncio.sleep(0.1)
                assert got['svcinfo']['online'] and got['svcinfo']['urlinfo']['hostname'] == '00.axon.loop.test', got
                assert os.path.isfile(os.path.join(axdir, 'certs', 'hosts', '00.axon.loop.test.crt'))
                items = [i async for i in prox.callAhaPeerApi(axon.iden, ('getCellIden', (), {}), timeout=10)]
                assert items == [('00.axon.loop.test', (True, axon.iden))], items
                items = [i async for i in prox.callAhaPeerApi(axon.iden, ('newp', (), {}), timeout=10)]
                assert items[0][1][0] is False and items[0][1][1]['err'] == 'NoSuchMeth', items
            await raises('NoSuchName', s_telepath.openurl(provurl))
            # provisioning of one of ours
            registry = [f'ssl://127.0.0.1:{port}?hostname=aha.loop.test&certname=root@loop.test']
            ourdir = os.path.join(base, 'our-jsonstor')
            os.makedirs(ourdir)
            oururl = await prox.addAhaSvcProv('00.jsonstor', {'conf': {'aha:registry': registry}})
            info = s_telepath.chopurl(oururl)
            oururl = f'ssl://127.0.0.1:{info["port"]}{info["path"]}?certhash={info["certhash"]}'
            s_common.yamlsave({'aha:provision': oururl}, ourdir, 'cell.yaml')
            async with service('jsonstor', ourdir):
                for _ in range(100):
                    got = await prox.getAhaSvc('jsonstor...')
                    if got and got['svcinfo'].get('online'):
                        break
                    await asyncio.sleep(0.1)
                assert got['svcinfo']['online'] and got['svcinfo']['urlinfo']['hostname'] == '00.jsonstor.loop.test', got
                items = [i async for i in prox.callAhaPeerApi(got['svcinfo']['iden'], ('getCellIden', (), {}), timeout=10)]
                assert items == [('00.jsonstor.loop.test', (True, got['svcinfo']['iden']))], items
            assert os.path.isfile(os.path.join(ourdir, 'prov.done'))
            # enrolment
            userurl = await prox.addAhaUserEnroll('visi')
            await raises('DupUserName', prox.addAhaUserEnroll('visi'))
            info = s_telepath.chopurl(userurl)
            userurl = f'ssl://127.0.0.1:{info["port"]}{info["path"]}?certhash={info["certhash"]}'
            certs = s_certdir.CertDir(os.path.join(base, 'usercerts'))
            async with await s_telepath.openurl(userurl) as enroll:
                uinfo = await enroll.getUserInfo()
                assert uinfo['aha:user'] == 'visi' and uinfo['aha:network'] == 'loop.test'
                assert (await enroll.getCaCert()).startswith(b'-----BEGIN CERTIFICATE')
                certs.saveCaCertByts(await enroll.getCaCert())
                await raises('BadArg', enroll.signUserCsr(certs.genUserCsr('newp@loop.test')))
                certs.saveUserCertByts(await enroll.signUserCsr(certs.genUserCsr('visi@loop.test')))
            async with await s_telepath.openurl(f'ssl://127.0.0.1:{port}?hostname=aha.loop.test&certname=visi@loop.test', certdir=certs) as visi:
                assert (await visi.getAhaSvc('axon...'))['svcinfo']['urlinfo']['user'] == 'visi'
                await raises('AuthDeny', visi.addAhaPool('p...', {}))
            assert (await prox.getCaCert('loop.test')).startswith('-----BEGIN CERTIFICATE')
            csr = certs.genHostCsr('web.loop.test')
            assert (await prox.signHostCsr(csr.decode())).startswith('-----BEGIN CERTIFICATE')
            clone = await prox.addAhaClone('zoinks.loop.test', port=4444)
            assert 'certhash' in clone
    async with await s_aha.AhaCell.anit(dirn, conf={**conf_of(dirn), 'health:sysctl:checks': False}) as cell:
        names = [s['name'] async for s in cell.getAhaSvcs()]
        assert names == ['00.axon.loop.test', '00.jsonstor.loop.test', '00.svc.loop.test', 'axon.loop.test',
                         'jsonstor.loop.test', 'svc.loop.test'], names
        assert await cell.auth.getUserByName('visi@loop.test') is not None


def conf_of(dirn):
    return s_common.yamlload(dirn, 'cell.yaml')


async def original_axon(axdir, conf):
    s_common.yamlsave(conf, axdir, 'cell.yaml')
    return await s_axon.Axon.initFromArgv([axdir])


async def legacy(base):
    '''The older kind of provisioning: a bare key over TCP.'''
    dirn = os.path.join(base, 'oldaha')
    os.makedirs(dirn)
    conf = {'aha:name': 'aha.loop.test', 'aha:network': 'loop.test', 'aha:admin': 'root@loop.test',
            'aha:urls': 'ssl://aha.loop.test:27492',
            'dmon:listen': 'ssl://127.0.0.1:0?hostname=aha.loop.test&ca=loop.test',
            'provision:listen': 'tcp://127.0.0.1:0'}
    s_common.yamlsave(conf, dirn, 'cell.yaml')
    async with service('aha', dirn, telepath=None):
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            url = await prox.addAhaSvcProv('00.cortex')
            info = s_telepath.chopurl(url)
            assert info['scheme'] == 'tcp' and info['host'] == 'aha.loop.test', url
            async with await s_telepath.openurl(f'tcp://127.0.0.1:{info["port"]}{info["path"]}') as prov:
                got = (await prov.getProvInfo())['conf']
                assert got['aha:registry'] == 'ssl://aha.loop.test:27492?certname=root@loop.test', got
                assert got['aha:leader'] == 'cortex' and got['aha:admin'] == 'root@loop.test'
            await raises('NoSuchName', s_telepath.openurl(f'tcp://127.0.0.1:{info["port"]}{info["path"]}'))


async def main():
    base = tempfile.mkdtemp()
    failed = 0
    try:
        for test in (axon, jsonstor, aha, legacy):
            if opts.only and test.__name__ not in opts.only:
                continue
            start = time.monotonic()
            try:
                await test(base)
                print(f'ok {test.__name__} ({time.monotonic() - start:.1f}s)')
            except Exception:
                import traceback
                traceback.print_exc()
                print(f'FAILED {test.__name__}')
                failed += 1
    finally:
        if not failed:
            shutil.rmtree(base)
        else:
            print(f'left: {base}')
    return failed


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
