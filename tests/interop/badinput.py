'''
Bad input to whole services: each gets an error by name, changes nothing and costs nobody else anything.

Usage: badinput.py --binary MYELIN [part ...]
'''
import os
import ssl
import sys
import time
import random
import shutil
import socket
import asyncio
import hashlib
import argparse
import tempfile
import contextlib
import subprocess

import synapse.telepath as s_telepath

import synapse.lib.certdir as s_certdir
import synapse.lib.msgpack as s_msgpack

from common import Svc, cluster, raises

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('parts', nargs='*')
opts = pars.parse_args()
opts.binary = os.path.abspath(opts.binary)


def digest(dirn):
    '''What every file below a directory holds; sockets and the lock files of databases say nothing.'''
    found = {}
    for root, _, names in os.walk(dirn):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and name not in ('lock.mdb', 'cell.lock'):
                with open(path, 'rb') as fd:
                    found[os.path.relpath(path, dirn)] = hashlib.sha256(fd.read()).hexdigest()
    return found


def refused(dirn, *says, kind='cortex', args=(), env=None, cwd=None, only=None):
    '''
    A start that fails: it ends, says why, and leaves the directory as it was; or one file, where databases had to be opened to
    find which is damaged.
    '''
    before = digest(dirn)
    argv = [opts.binary, kind, dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0/', *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}, cwd=cwd)
    said = done.stdout + done.stderr
    assert done.returncode not in (0, None) and done.returncode > 0, (done.returncode, said[-2000:])
    assert 'panicked' not in said, said[-2000:]
    for text in says:
        assert text in said, f'{text!r} is not in {said[-2000:]!r}'
    after = digest(dirn)
    if only is not None:
        before, after = before[only], after[only]
    assert after == before, f'changed: {after}, from {before}'


async def state(svc):
    return await svc.call('getNexsIndx'), await svc.call('count', 'inet:fqdn')


async def frames(svc):
    '''Bytes that are no messages.'''
    before = await state(svc)
    rand = random.Random(256)
    sent = [
        b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
        b'\xc1' * 100,
        b'\xdf\xff\xff\xff\xff' + b'\x00' * 100,
        b'\xdd\xff\xff\xff\xff' * 100,
        b'\xc6\xff\xff\xff\xff',
        b'\x91' * 100_000,
        s_msgpack.en(('tele:syn', {'auth': 5, 'vers': 'x', 'name': [[]]})),
        s_msgpack.en(('t2:init', {'todo': 'newp'})),
        s_msgpack.en(('t2:init', {'todo': ('storm', ('[inet:fqdn=newp.com]',), {}), 'sess': 'a' * 32})),
        s_msgpack.en(5) * 1000,
        *[rand.randbytes(rand.randrange(1, 5000)) for _ in range(200)],
    ]
    for byts in sent:
        sock = socket.create_connection(('127.0.0.1', svc.port))
        sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            sock.sendall(byts)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        sock.close()
    assert await state(svc) == before
    assert svc.proc.poll() is None


async def credentials(svc):
    before = await state(svc)
    base = f'127.0.0.1:{svc.port}/'
    await raises('AuthDeny', s_telepath.openurl(f'tcp://{base}'))
    await raises('AuthDeny', s_telepath.openurl(f'tcp://root:newp@{base}'))
    await raises('NoSuchUser', s_telepath.openurl(f'tcp://newp:secret@{base}'))
    await raises('NoSuchName', s_telepath.openurl(f'tcp://root:secret@{base}newp'))
    await svc.call('addUser', 'low', passwd='low')
    async with await s_telepath.openurl(f'tcp://low:low@{base}') as low:
        await raises('AuthDeny', low.addUser('more'))
        await raises('AuthDeny', low.callStorm('[ inet:fqdn=newp.com ]'))
        await raises('AuthDeny', low.shutdown())
        user = await svc.call('getUserDefByName', 'low')
        await svc.call('setUserLocked', user['iden'], True)
        await raises('AuthDeny', s_telepath.openurl(f'tcp://low:low@{base}'))
    after = await state(svc)
    assert after[1] == before[1]


async def certificates(base, svcs):
    '''Clients with certificates that another CA signed, that are for another service, or with none.'''
    dirn = os.path.join(base, 'tls')
    certs = s_certdir.CertDir(os.path.join(dirn, 'certs'))
    certs.genCaCert('good.net')
    certs.genHostCert('core.good.net', signas='good.net')
    certs.genUserCert('root@good.net', signas='good.net')
    certs.genUserCert('nobody@good.net', signas='good.net')
    evil = s_certdir.CertDir(os.path.join(base, 'evil'))
    evil.genCaCert('good.net')
    evil.genHostCert('core.good.net', signas='good.net')
    evil.genUserCert('root@good.net', signas='good.net')
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        fd.write('aha:network: good.net\n')
    svc = Svc('cortex', dirn, opts.binary, port=0,
              args=('--telepath', 'ssl://127.0.0.1:0/?hostname=core.good.net&ca=good.net'))
    svcs.append(svc)
    await svc.start()
    before = await state(svc)
    port = listening(svc.proc.pid)
    url = f'ssl://root@127.0.0.1:{port}/?hostname=core.good.net'
    async with await s_telepath.openurl(f'{url}&certname=root@good.net', certdir=certs) as prox:
        assert (await prox.getCellUser())['name'] == 'root'
    mixed = s_certdir.CertDir(os.path.join(base, 'mixed'))
    mixed.saveCaCertByts(certs.getCaCertBytes('good.net'))
    shutil.copytree(os.path.join(base, 'evil', 'users'), os.path.join(base, 'mixed', 'users'))
    for name, path, certname in (('an impostor', mixed, 'root@good.net'), ('the wrong CA for the service', evil, 'root@good.net')):
        try:
            async with await s_telepath.openurl(f'{url}&certname={certname}', certdir=path) as prox:
                await prox.getCellUser()
        except (ssl.SSLError, OSError) as e:
            assert not isinstance(e, TimeoutError), name
        except Exception as e:
            assert e.__class__.__name__ in ('LinkShutDown', 'LinkErr', 'LinkBadCert'), f'{name}: {e!r}'
        else:
            raise AssertionError(f'{name} was let in')
    await raises('NoSuchUser', s_telepath.openurl(f'ssl://127.0.0.1:{port}/?hostname=core.good.net&certname=nobody@good.net', certdir=certs))
    await raises('BadCertHost', s_telepath.openurl(f'ssl://root@127.0.0.1:{port}/?hostname=other.good.net&certname=root@good.net', certdir=certs))
    # No TLS at all, and a peer that begins a handshake and does no more.
    stuck = [socket.create_connection(('127.0.0.1', port)) for _ in range(50)]
    stuck[0].sendall(b'\x16\x03\x01\x02\x00')
    async with await s_telepath.openurl(f'{url}&certname=root@good.net', certdir=certs) as prox:
        assert (await prox.getCellUser())['name'] == 'root'
    for sock in stuck:
        sock.close()
    assert await state(svc) == before
    svc.stop()


def listening(pid):
    '''The port that a process listens on.'''
    inodes = set()
    for name in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(OSError):
            link = os.readlink(f'/proc/{pid}/fd/{name}')
            if link.startswith('socket:['):
                inodes.add(link[8:-1])
    with open(f'/proc/{pid}/net/tcp') as fd:
        rows = [line.split() for line in fd.readlines()[1:]]
    ports = [int(row[1].split(':')[1], 16) for row in rows if row[3] == '0A' and row[9] in inodes]
    assert len(ports) == 1, ports
    return ports[0]


async def options(base):
    '''Options that are unknown or of the wrong kind.'''
    for text, says in (
        ('newp:newp: 10\n', ('newp:newp',)),
        ('nexslog:en: newp\n', ('nexslog:en',)),
        ('dmon:listen: 10\n', ('dmon:listen',)),
        ('limit:disk:free: 200\n', ('limit:disk:free',)),
        ('- a list\n', ('cell.yaml',)),
        ('{a: [\n', ('cell.yaml',)),
        ('aha:provision: http://newp\n', ('aha:provision',)),
    ):
        dirn = tempfile.mkdtemp(dir=base)
        with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
            fd.write(text)
        refused(dirn, *says)
        assert os.listdir(dirn) == ['cell.yaml'], os.listdir(dirn)
    dirn = tempfile.mkdtemp(dir=base)
    refused(dirn, 'nexslog:en', env={'SYN_CORTEX_NEXSLOG_EN': 'newp'})
    refused(dirn, '--newp', args=('--newp', '10'))
    assert os.listdir(dirn) == []
    path = os.path.join(dirn, 'a-file')
    with open(path, 'w') as fd:
        fd.write('newp')
    done = subprocess.run([opts.binary, 'axon', path, '--https', '0'], capture_output=True, text=True, timeout=30)
    assert done.returncode > 0 and 'a-file' in done.stderr + done.stdout, done.stderr + done.stdout


async def locked(svc):
    '''A second process on the directory of a running service: ours, and the original's.'''
    argv = [opts.binary, 'cortex', svc.dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0/']
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode > 0 and f'already running the service in {svc.dirn}' in said, said
    argv = [sys.executable, '-m', 'synapse.servers.cortex', svc.dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0/']
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode > 0 and 'lock' in (done.stdout + done.stderr).lower(), done.stderr
    await svc.call('count', '[ inet:fqdn=locked.com ]')


async def slabs(base, svcs):
    '''Databases that are cut off, overwritten, or no databases. The file is named, nothing is written.'''
    dirn = os.path.join(base, 'whole')
    svc = Svc('cortex', dirn, opts.binary)
    svcs.append(svc)
    await svc.start()
    await svc.call('count', 'for $i in $lib.range(2000) {[ inet:fqdn=`{$i}.com` +#foo ]}')
    svc.stop()
    found = []
    for root, _, names in os.walk(dirn):
        if 'data.mdb' in names:
            found.append(os.path.relpath(os.path.join(root, 'data.mdb'), dirn))
    assert any(path.startswith('layers') for path in found) and 'slabs/cell.lmdb/data.mdb' in found, found
    kinds = ('cut', 'noise', 'foreign', 'empty')
    for i, path in enumerate(sorted(found)):
        # All of them for a layer, one for each other database: a start takes a second.
        for what in kinds if 'layer_v2' in path else kinds[i % 4:][:1]:
            copy = os.path.join(base, 'damaged')
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(dirn, copy)
            full = os.path.join(copy, path)
            size = os.path.getsize(full)
            with open(full, 'r+b') as fd:
                if what == 'cut':
                    fd.truncate(size // 2 // 4096 * 4096 + 100)
                elif what == 'noise':
                    fd.write(random.Random(1).randbytes(min(size, 8 * 4096)))
                elif what == 'foreign':
                    fd.truncate(0)
                    fd.write(b'SQLite format 3\0' + b'\0' * 8192)
                else:
                    fd.truncate(0)
                    fd.write(b'\0' * 4096)
            # Cutting off what the database does not use is no damage.
            if what == 'cut' and size <= 8 * 4096:
                continue
            refused(copy, os.path.dirname(path).split('/')[-1], only=path)
    await svc.start()
    assert await svc.call('count', 'inet:fqdn#foo') == 2000
    svc.stop()


async def limits(base, svcs):
    '''The size of a message, the number of links, a link that stays silent.'''
    env = {'MYELIN_LINKS': '40', 'MYELIN_FRAME_BYTES': '1000000', 'MYELIN_SILENT_SECS': '3'}
    svc = Svc('cortex', os.path.join(base, 'limits'), opts.binary, env=env)
    svcs.append(svc)
    await svc.start()
    await svc.call('setUserPasswd', (await svc.call('getUserDefByName', 'root'))['iden'], 'secret')
    before = await state(svc)
    async with await s_telepath.openurl(svc.url) as prox:
        await raises('LinkShutDown', prox.callStorm('return($x)', opts={'vars': {'x': 'x' * 2_000_000}}))
        assert 'larger than 1000000 bytes' in svc.tail()
    async with await s_telepath.openurl(svc.url) as prox:
        assert await prox.callStorm('return((1))') == 1
    socks = [socket.create_connection(('127.0.0.1', svc.port)) for _ in range(60)]
    e = await raises('LinkErr', s_telepath.openurl(svc.url))
    assert '40' in str(e), e
    # Those that say nothing are let go, and there is room again.
    await asyncio.sleep(4)
    async with await s_telepath.openurl(svc.url) as prox:
        assert await prox.callStorm('return((1))') == 1
    for sock in socks:
        sock.close()
    assert await state(svc) == before
    svc.stop()
    refused(svc.dirn, 'MYELIN_LINKS', env={'MYELIN_LINKS': 'many'}, only='cell.guid')


def unread(svc, query):
    '''A session with a running query, of whose messages nobody reads any.'''
    login = socket.create_connection(('127.0.0.1', svc.port))
    login.sendall(s_msgpack.en(('tele:syn', {'auth': ('root', {'passwd': 'secret'}), 'vers': s_telepath.televers, 'name': '*'})))
    unpk = s_msgpack.Unpk()
    mesgs = []
    while not mesgs:
        mesgs = unpk.feed(login.recv(65536))
    sess = mesgs[0][1][1]['sess']
    link = socket.create_connection(('127.0.0.1', svc.port))
    link.sendall(s_msgpack.en(('t2:init', {'todo': ('storm', (query,), {}), 'name': None, 'sess': sess})))
    return [login, link]


async def slow(svc):
    '''Peers that ask for much and read nothing, and peers that die: the others wait no longer than before.'''
    async def times(prox):
        took = []
        for i in range(50):
            began = time.monotonic()
            assert await prox.callStorm('[ inet:fqdn=`slow{$i}.com` ] return($node.repr())', opts={'vars': {'i': i}})
            took.append(time.monotonic() - began)
        return sorted(took)[len(took) // 2]

    async with await s_telepath.openurl(svc.url) as prox:
        quiet = await times(prox)
    query = 'for $i in $lib.range(10000000) { $lib.print(`{$i} is a line that nobody reads`) }'
    stuck = [unread(svc, query) for _ in range(20)]
    await asyncio.sleep(2)
    async with await s_telepath.openurl(svc.url) as prox:
        busy = await times(prox)
        rss = memory(svc.proc.pid)
        assert busy < max(10 * quiet, 0.25), (quiet, busy)
        assert rss < 500 << 20, rss
        print(f'   a write beside 20 readers that do not read: {busy * 1000:.1f} ms, without them {quiet * 1000:.1f} ms; '
              f'{rss >> 20} MiB', flush=True)
        for sock in sum(stuck, []):
            sock.close()
        for _ in range(100):
            tasks = [task for task in await prox.ps() if 'nobody' in str(task)]
            if not tasks:
                break
            await asyncio.sleep(0.1)
        assert not tasks, len(tasks)


def memory(pid):
    with open(f'/proc/{pid}/statm') as fd:
        return int(fd.read().split()[1]) * 4096


async def paths(base, svcs):
    '''A service on a directory that is named from where one stands, and one that lies deep.'''
    os.makedirs(os.path.join(base, 'here'))
    argv = [opts.binary, 'axon', 'rel', '--https', '0', '--telepath', 'tcp://127.0.0.1:0/']
    proc = subprocess.Popen(argv, cwd=os.path.join(base, 'here'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f'cell://{base}/here/rel'
        for _ in range(300):
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(url) as prox:
                    assert (await prox.getCellInfo())['cell']['type'] == 'axon'
                    break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError('no socket in a directory given by a relative path')
        said = subprocess.run([opts.binary, 'tool', 'service.healthcheck', '-c', 'cell://rel'], cwd=os.path.join(base, 'here'),
                              capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
    finally:
        proc.terminate()
        assert proc.wait(30) == 0
    deep = os.path.join(base, 'd' * 100, 'e' * 100)
    os.makedirs(deep)
    argv = [opts.binary, 'axon', deep, '--https', '0', '--telepath', 'tcp://127.0.0.1:0/']
    proc = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            done = subprocess.run([opts.binary, 'tool', 'service.healthcheck', '-c', f'cell://{deep}'], capture_output=True)
            if done.returncode == 0:
                break
            await asyncio.sleep(0.1)
        assert done.returncode == 0, done.stderr
    finally:
        proc.terminate()
        assert proc.wait(30) == 0


async def main():
    with tempfile.TemporaryDirectory(prefix='bad') as base:
        async with cluster() as svcs:
            svc = Svc('cortex', os.path.join(base, 'core'), opts.binary)
            svcs.append(svc)
            await svc.start()
            await svc.call('setUserPasswd', (await svc.call('getUserDefByName', 'root'))['iden'], 'secret')
            await svc.call('count', '[ inet:fqdn=vertex.link ]')
            parts = {
                'frames': lambda: frames(svc),
                'credentials': lambda: credentials(svc),
                'locked': lambda: locked(svc),
                'slow': lambda: slow(svc),
                'certificates': lambda: certificates(base, svcs),
                'options': lambda: options(base),
                'slabs': lambda: slabs(base, svcs),
                'limits': lambda: limits(base, svcs),
                'paths': lambda: paths(base, svcs),
            }
            for name in opts.parts or parts:
                began = time.monotonic()
                await parts[name]()
                print(f'{name}: ok in {time.monotonic() - began:.1f} s', flush=True)
            svc.stop()


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
