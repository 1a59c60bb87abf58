"""The official telepath client against our daemon, and our client against the official daemon.

The programs are the examples of the telepath crate, found beside the binary (`<dir>/examples/`) or built on the spot.
"""
import argparse
import asyncio
import os
import pathlib
import subprocess
import sys
import tempfile

import synapse.exc as s_exc
import synapse.daemon as s_daemon
import synapse.telepath as s_telepath
import synapse.lib.base as s_base
import synapse.lib.share as s_share
import synapse.lib.certdir as s_certdir

REPO = pathlib.Path(__file__).resolve().parents[2]


def example(binary, crate, name):
    path = pathlib.Path(binary).resolve().parent / 'examples' / name
    if not path.exists():
        subprocess.run(['cargo', 'build', '-q', '-p', crate, '--example', name], cwd=REPO, check=True)
        target = pathlib.Path(os.environ.get('CARGO_TARGET_DIR', REPO / 'target'))
        path = target / 'debug' / 'examples' / name
    return str(path)


async def raises(name, coro):
    try:
        await coro
    except s_exc.SynErr as e:
        assert e.__class__.__name__ == name, f'wanted {name}, got {e!r}'
        return e
    raise AssertionError(f'wanted {name}, got no error')


class Server:
    """Our echo server on some URLs."""

    def __init__(self, path, *urls, **env):
        self.argv = [path, *urls]
        self.env = {**os.environ, **env}

    async def __aenter__(self):
        self.proc = await asyncio.create_subprocess_exec(
            *self.argv, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addrs = []
        for _ in self.argv[1:]:
            line = (await asyncio.wait_for(self.proc.stdout.readline(), 10)).decode().strip()
            assert line.startswith('listening '), line
            self.addrs.append(line.split(' ', 1)[1])
        return self

    async def __aexit__(self, *args):
        self.proc.stdin.close()
        assert await asyncio.wait_for(self.proc.wait(), 15) == 0


async def official_client(path, dirn):
    sock = os.path.join(dirn, 'sock')
    async with Server(path, 'tcp://127.0.0.1:0', f'unix://{sock}') as server:
        tcp = server.addrs[0]

        async with await s_telepath.openurl(f'tcp://{tcp}/gizmo/a/b') as prox:
            assert prox._getSynVers() == (2, 256, 0)
            assert prox._getClasses() == ('myelin.example.Gizmo',)
            assert await prox.plain(1) == 11
            assert await prox.plain(1, y=2) == 3
            assert await prox.whoami() == ('anyone', ('a', 'b'))

            valu = (1, 1.5, None, True, 'a\ud800b', b'\x00\xff', 2**64, -2**63 - 1, 2**200, -2**200, {'k': (1, 2), 5: 6})
            assert await prox.echo(*valu, kw=1) == (valu, {'kw': 1})
            big = os.urandom(40_000_000)
            assert (await prox.echo(big))[0] == (big,)

            e = await raises('BadArg', prox.fail())
            assert (e.get('mesg'), e.get('foo')) == ('as asked', 'bar')
            e = await raises('SynErr', prox.foreign())
            assert e.get('errx') == 'Foo'
            await raises('NoSuchMeth', prox.newp())
            await raises('NoSuchMeth', prox.call('_private'))
            e = await raises('SynErr', prox.plain())
            assert e.get('errx') == 'TypeError'

            assert [x async for x in prox.range(3)] == [0, 1, 2]
            assert [x async for x in prox.range(0)] == []
            assert [x async for x in await prox.retgen()] == [5]
            got = []
            try:
                async for x in prox.range(2, fail=True):
                    got.append(x)
            except s_exc.BadArg as e:
                got.append(e.get('foo'))
            assert got == [0, 1, 'bar']
            try:
                async for x in prox.refused():
                    raise AssertionError('a refused generator yielded')
            except s_exc.AuthDeny:
                pass

            # a stream left early ends on the service
            genr = prox.forever()
            async for x in genr:
                if x == 3:
                    break
            await genr.aclose()
            for _ in range(100):
                running, _ = await prox.counts()
                if running == 0:
                    break
                await asyncio.sleep(0.02)
            assert running == 0

            # calls run beside each other
            await asyncio.gather(*[prox.plain(x) for x in range(50)])

            async with await prox.widget() as widget:
                assert await widget.spin() == 'ok'
                assert [x async for x in widget.items()] == ['a', 'b']
                iden = widget.iden
            for _ in range(100):
                _, ended = await prox.counts()
                if ended == 1:
                    break
                await asyncio.sleep(0.02)
            assert ended == 1
            e = await raises('NoSuchObj', prox.task(('spin', (), {}), name=iden))
            assert e.get('name') == iden

            todo = [('plain', (x,), {}) for x in range(5)]

            async def genr():
                for item in todo:
                    yield item
            retns = [retn async for retn in prox.getPipeline(genr())]
            assert retns == [(True, x + 10) for x in range(5)]

            # the way of clients older than sessions
            prox.sess = None
            assert await prox.plain(4) == 14
            assert [x async for x in await prox.task(('range', (3,), {}))] == [0, 1, 2]
            await raises('BadArg', prox.fail())
            widget = await prox.task(('widget', (), {}))
            assert await widget.spin() == 'ok'
            await widget.fini()

        e = await raises('NoSuchName', s_telepath.openurl(f'tcp://{tcp}/newp'))
        assert e.get('name') == 'newp'
        await raises('AuthDeny', s_telepath.openurl(f'tcp://{tcp}'))
        await raises('AuthDeny', s_telepath.openurl(f'tcp://root:newp@{tcp}'))
        await raises('NoSuchUser', s_telepath.openurl(f'tcp://newp:newp@{tcp}'))
        async with await s_telepath.openurl(f'tcp://root:secret@{tcp}/') as prox:
            assert await prox.whoami() == ('root', ())
            assert prox._hasTeleFeat('tasks')
        async with await s_telepath.openurl(f'unix://{sock}') as prox:
            assert await prox.whoami() == ('root', ())
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            assert await prox.whoami() == ('root', ())


class Widget(s_share.Share):

    async def spin(self):
        return 'ok'


class Gizmo(s_base.Base):

    async def __anit__(self):
        await s_base.Base.__anit__(self)
        self.count = 0

    async def echo(self, *args, **kwargs):
        return args, kwargs

    async def fail(self):
        raise s_exc.BadArg(mesg='as asked', foo='bar')

    async def foreign(self):
        raise ValueError('newp')

    async def range(self, count, fail=False):
        for x in range(count):
            yield x
        if fail:
            raise s_exc.BadArg(mesg='mid stream')

    async def forever(self):
        self.count += 1
        try:
            while True:
                yield 'x'
                await asyncio.sleep(0.01)
        finally:
            self.count -= 1

    async def running(self):
        return self.count

    async def whoami(self):
        return 'gizmo'


class Host(Gizmo, s_telepath.Aware):

    async def getTeleApi(self, link, mesg, path):
        return Api(self, link)


class Api:

    def __init__(self, item, link):
        self.item = item
        self.link = link

    def __getattr__(self, name):
        if name in ('running', 'echo', 'whoami', 'foreign', 'fail'):
            return getattr(self.item, name)
        raise AttributeError(name)

    def range(self, *args, **kwargs):
        return self.item.range(*args, **kwargs)

    def forever(self):
        return self.item.forever()

    async def widget(self):
        return await Widget.anit(self.link, {})


async def run(path, *args, **env):
    proc = await asyncio.create_subprocess_exec(path, *args, env={**os.environ, **env}, stdout=subprocess.PIPE)
    out, _ = await asyncio.wait_for(proc.communicate(), 60)
    assert proc.returncode == 0, f'{args}: {proc.returncode}'
    return out.decode().split()


async def official_daemon(path, dirn):
    certs = os.path.join(dirn, 'certs')
    cdir = s_certdir.CertDir(certs)
    cdir.genCaCert('ca')
    cdir.genHostCert('svc.loop.link', signas='ca')
    cdir.genUserCert('root@loop.link', signas='ca')
    async with await s_daemon.Daemon.anit(certdir=cdir) as dmon, await Host.anit() as host:
        dmon.share('*', host)
        _, port = await dmon.listen('tcp://127.0.0.1:0')
        _, tls = await dmon.listen('ssl://127.0.0.1:0?hostname=svc.loop.link')
        _, mutual = await dmon.listen('ssl://127.0.0.1:0?hostname=svc.loop.link&ca=ca')
        assert await run(path, 'gizmo', f'tcp://127.0.0.1:{port}/') == ['ok']
        assert await run(path, 'gizmo', f'ssl://127.0.0.1:{tls}/?hostname=svc.loop.link', CERTDIR=certs) == ['ok']
        assert await run(path, 'gizmo', f'ssl://root@127.0.0.1:{mutual}/?hostname=svc.loop.link', CERTDIR=certs) == ['ok']

        async def opens(want, url, **env):
            got = await run(path, 'open', url, **env)
            assert got == [want], f'{url}: {got}'
        certhash = cdir.getHostCertHash('svc.loop.link')
        await opens('"gizmo"', f'ssl://127.0.0.1:{tls}/?certhash={certhash}')
        await opens('LinkBadCert', f'ssl://127.0.0.1:{tls}/?certhash={"0" * 64}')
        await opens('BadCertHost', f'ssl://127.0.0.1:{tls}/', CERTDIR=certs)
        await opens('NoSuchCert', f'ssl://newp@127.0.0.1:{mutual}/?hostname=svc.loop.link', CERTDIR=certs)
        await opens('LinkShutDown', f'ssl://127.0.0.1:{mutual}/?hostname=svc.loop.link', CERTDIR=certs)
        await opens('LinkErr', f'ssl://127.0.0.1:{tls}/?hostname=svc.loop.link', CERTDIR=certs + 'x')
        await opens('NoSuchName', f'tcp://127.0.0.1:{port}/newp')


async def official_aha(path, dirn):
    import synapse.lib.aha as s_aha
    import synapse.lib.cell as s_cell
    conf = {'aha:network': 'loop.link', 'dns:name': 'aha.loop.link', 'provision:listen': None}
    async with await s_aha.AhaCell.anit(os.path.join(dirn, 'aha'), conf=conf) as aha:
        _, port = await aha.dmon.listen('tcp://127.0.0.1:0')
        await aha.auth.rootuser.setPasswd('secret')
        async with await s_cell.Cell.anit(os.path.join(dirn, 'cell'), conf={'auth:passwd': 'secret'}) as cell:
            _, svcport = await cell.dmon.listen('tcp://127.0.0.1:0')
            info = {'urlinfo': {'scheme': 'tcp', 'host': '127.0.0.1', 'port': svcport}, 'online': 'x' * 32, 'ready': True}
            await aha.addAhaSvc('00.cell.loop.link', info)
            got = await run(path, 'pool', f'tcp://root:secret@127.0.0.1:{port}', '00.cell...')
            assert got == ['"cell"', '"cell"', 'NoSuchName'], got


async def main():
    pars = argparse.ArgumentParser(description=__doc__)
    pars.add_argument('--binary', required=True)
    opts = pars.parse_args()
    server = example(opts.binary, 'myelin-telepath', 'echo_server')
    client = example(opts.binary, 'myelin-telepath', 'try_client')
    with tempfile.TemporaryDirectory() as dirn:
        await official_client(server, dirn)
        print('official client, our daemon: ok')
        await official_daemon(client, dirn)
        print('our client, official daemon: ok')
        await official_aha(client, dirn)
        print('our client, official aha: ok')


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
