'''
Operators' tools against our services, and where it matters the original's tool beside ours.

Usage: tools.py --binary MYELIN
'''
import os
import sys
import json
import shutil
import signal
import asyncio
import argparse
import tempfile
import contextlib
import subprocess

import synapse.telepath as s_telepath

import synapse.lib.msgpack as s_msgpack

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()


@contextlib.asynccontextmanager
async def service(base, kind, name=None):
    dirn = os.path.join(base, name or kind)
    os.makedirs(dirn, exist_ok=True)
    argv = [opts.binary, kind, dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0']
    with open(f'{dirn}.log', 'ab') as log:
        proc = subprocess.Popen(argv, stdout=log, stderr=log)
    url = f'cell://{dirn}'
    try:
        for _ in range(600):
            assert proc.poll() is None, open(f'{dirn}.log').read()[-2000:]
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(url) as prox:
                    await prox.getCellInfo()
                    break
            await asyncio.sleep(0.1)
        yield url
    finally:
        proc.send_signal(signal.SIGTERM)
        assert proc.wait(60) == 0


def run(argv, code=0, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **kwargs)
    assert done.returncode == code, f'{argv}: {done.returncode}\n{done.stdout}\n{done.stderr[-2000:]}'
    return done.stdout


def tool(name, *args, code=0, **kwargs):
    return run([opts.binary, 'tool', name, *args], code, **kwargs)


def theirs(name, *args, code=0, **kwargs):
    return run([sys.executable, '-m', f'synapse.tools.{name}', *args], code, **kwargs)


async def axons(base):
    async with service(base, 'axon') as one, service(base, 'axon', 'axon2') as two, service(base, 'axon', 'axon3') as three:
        async with await s_telepath.openurl(one) as prox:
            for text in (b'one', b'two', b'three', b''):
                await prox.put(text)
        assert 'Starting transfer at offset: 1' in tool('axon.copy', '--offset', '1', one, two)
        dump = os.path.join(base, 'dump')
        said = tool('axon.dump', '--url', one, '--rotate-size', '5', dump)
        assert 'Successfully dumped blobs.' in said and 'Rotating to new .tar.gz file' in said, said
        paths = sorted(os.path.join(dump, name) for name in os.listdir(dump) if name.endswith('.tar.gz'))
        assert len(paths) > 1, paths
        # The other's tool reads what ours wrote, and goes on where it ended.
        assert 'Successfully loaded blobs.' in theirs('axon.load', '--url', three, *paths)
        said = theirs('axon.dump', '--url', one, dump)
        assert 'Starting the dump from offs=4' in said, said
        assert 'Skipping existing blob' in tool('axon.load', '--url', two, *paths)
        for url in (two, three):
            async with await s_telepath.openurl(url) as prox:
                assert (await prox.metrics())['file:count'] == 4
        assert 'only works on axons' not in said
        # Files, by the older names.
        path = os.path.join(base, 'pushed.txt')
        with open(path, 'w') as fd:
            fd.write('pushed')
        assert 'Uploaded [pushed.txt] to axon' in tool('pushfile', '-a', one, path)
        sha = '5fe2dd63aac35ae7c1a3a5d4c5ac81b4b6ba56ff32d2c98b0d1bb8c6a2a4d2aa'
        assert 'not in axon store' in tool('pullfile', '-a', one, '-o', base, '-l', sha)


async def cortexes(base):
    async with service(base, 'cortex') as url, service(base, 'cortex', 'cortex2') as other:
        assert 'only works on axons, not cortex' in tool('axon.dump', '--url', url, os.path.join(base, 'x'), code=1)
        # Keys.
        said = tool('service.apikey', '--svcurl', url, 'add', '-d', '3600', 'mine')
        assert 'Successfully added API key with name=mine.' in said and '  API Key: ' in said, said
        iden = said.split('Iden: ')[1].split()[0]
        assert iden in theirs('service.apikey', '--svcurl', url, 'list') and iden in tool('apikey', '--svcurl', url, 'list')
        assert 'Successfully deleted' in tool('apikey', '--svcurl', url, 'del', iden)
        assert 'No API keys found.' in tool('apikey', '--svcurl', url, 'list')
        assert 'ERROR: ' in tool('apikey', '--svcurl', url, 'del', iden, code=1)
        # The older way to users.
        assert 'adding user: visi' in tool('cellauth', url, 'modify', '--adduser', 'visi')
        tool('cellauth', url, 'modify', '--addrole', 'ninjas')
        tool('cellauth', url, 'modify', '--grant', 'ninjas', 'visi')
        tool('cellauth', url, 'modify', '--addrule', '!node.add', 'visi')
        # The first line says that the tool is deprecated, in words of each.
        mine, other_said = (func('cellauth', url, 'list', 'visi').split('\n', 1)[1] for func in (tool, theirs))
        assert mine == other_said, (mine, other_said)
        assert 'deny: node.add' in mine and 'role: ninjas' in mine, mine
        tool('cellauth', url, 'modify', '--delrule', '0', 'visi')
        assert 'deny' not in tool('cellauth', url, 'list', 'visi')
        # CSV in and out.
        query, rows = os.path.join(base, 'q.storm'), os.path.join(base, 'rows.csv')
        with open(query, 'w') as fd:
            fd.write('for ($fqdn, $ip) in $rows { [ inet:dns:a=($fqdn, $ip) ] }')
        with open(rows, 'w') as fd:
            fd.write('fqdn,ip\nvertex.link,1.2.3.4\n"a.b.com",5.6.7.8\n')
        assert '2 nodes.' in tool('csvtool', '--csv-header', '-c', url, query, rows)
        with open(query, 'w') as fd:
            fd.write('inet:dns:a $lib.csv.emit(:fqdn, $node.repr(ipv4), "a,b")')
        outs = [os.path.join(base, f'{name}.csv') for name in ('mine', 'theirs')]
        for func, path in zip((tool, theirs), outs):
            assert 'exported 2 csv rows.' in func('cortex.csv', '--export', '-c', url, query, path)
        assert open(outs[0], newline='').read() == open(outs[1], newline='').read()
        # Packages.
        pkg = os.path.join(base, 'pkg')
        os.makedirs(os.path.join(pkg, 'storm', 'modules'))
        os.makedirs(os.path.join(pkg, 'storm', 'commands'))
        with open(os.path.join(pkg, 'demo.yaml'), 'w') as fd:
            fd.write('name: demo\nversion: 1.2.3\nmodules:\n  - name: demo.mod\ncommands:\n  - name: demo.hi\n    descr: Says hi.\n')
        with open(os.path.join(pkg, 'storm', 'modules', 'demo.mod'), 'w') as fd:
            fd.write('function hi() { return(hi) }')
        with open(os.path.join(pkg, 'storm', 'commands', 'demo.hi'), 'w') as fd:
            fd.write('$lib.print($lib.import(demo.mod).hi())')
        saved = [os.path.join(base, f'{name}.json') for name in ('mine', 'theirs')]
        for func, path in zip((tool, theirs), saved):
            func('genpkg', '--save', path, '--push', url, os.path.join(pkg, 'demo.yaml'))
        mine, other_said = (json.load(open(path)) for path in saved)
        mine.pop('build'), other_said.pop('build')
        assert mine == other_said, (mine, other_said)
        async with await s_telepath.openurl(url) as prox:
            prints = [mesg[1]['mesg'] async for mesg in prox.storm('demo.hi') if mesg[0] == 'print']
            assert prints == ['hi'], prints
        assert 'Nothing to do' in tool('genpkg', os.path.join(pkg, 'demo.yaml'), code=1)
        # The older prompt.
        assert 'tasks found.' in tool('cmdr', url, 'ps')
        assert 'inet:fqdn=vertex.link' in tool('cmdr', url, 'storm inet:fqdn=vertex.link')
        assert 'vertex.link' in theirs('cmdr', url, 'storm inet:fqdn=vertex.link')
        # Feeds, in a temporary Cortex too.
        nodes = os.path.join(base, 'some.nodes')
        with open(nodes, 'wb') as fd:
            for indx in range(5):
                fd.write(s_msgpack.en((('inet:ipv4', indx), {'tags': {'fed': (None, None)}})))
        assert 'Added [5] items from [some.nodes] - offset [5]' in tool('feed', '-c', url, nodes)
        assert 'Added [2] items' in tool('feed', '--test', '--chunksize', '2', nodes)
        async with await s_telepath.openurl(url) as prox:
            assert await prox.count('inet:ipv4#fed') == 5


async def small(base):
    assert len(tool('guid').strip()) == 32
    path = os.path.join(base, 'lines.json')
    with open(path, 'w') as fd:
        fd.write('{"a": 1}\n[2, "x"]\n')
    assert 'converting' in tool('json2mpk', '--rm', path) and not os.path.exists(path)
    assert list(s_msgpack.iterfile(path[:-5] + '.mpk')) == [{'a': 1}, (2, 'x')]
    certs = os.path.join(base, 'certs')
    tool('easycert', '--certdir', certs, '--ca', 'demo')
    tool('easycert', '--certdir', certs, '--signas', 'demo', '--server', 'host.demo')
    assert 'file exists' in tool('easycert', '--certdir', certs, '--ca', 'demo', code=1)
    tool('easycert', '--certdir', certs, '--csr', 'visi@demo')
    csr = os.path.join(certs, 'users', 'visi@demo.csr')
    assert 'cert saved' in theirs('easycert', '--certdir', certs, '--sign-csr', '--signas', 'demo', csr)
    assert 'Certificate revoked' in tool('easycert', '--certdir', certs, '--revokeas', 'demo', 'visi@demo')
    storm = os.path.join(base, 'bad.storm')
    with open(storm, 'w') as fd:
        fd.write('inet:fqdn |')
    assert 'E001' in tool('storm.lint', storm, code=1) and 'E001' in theirs('storm.lint', storm, code=1)
    assert 'rule M001' in tool('storm.lint', '--select', 'M001', storm, code=2)
    said = tool('utils.changelog', 'gen', code=1)
    assert 'FeatureNotSupported' in said, said
    tool('newp.newp', code=1)


async def main():
    base = tempfile.mkdtemp(prefix='tools')
    os.environ['HOME'] = base
    for test in (small, axons, cortexes):
        await test(base)
        print(f'ok {test.__name__}', flush=True)
    shutil.rmtree(base)


if __name__ == '__main__':
    asyncio.run(main())
