'''
Backups across both implementations: what one made the other starts from, and our verification of what the original wrote.

Usage: backup.py --binary MYELIN
'''
import os
import sys
import time
import signal
import asyncio
import argparse
import hashlib
import tempfile
import threading
import contextlib
import subprocess
import http.server

import synapse.axon as s_axon
import synapse.cortex as s_cortex
import synapse.telepath as s_telepath

import synapse.lib.jsonstor as s_jsonstor
import synapse.tools.service.backup as s_t_backup

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()

CONF = {'health:sysctl:checks': False, 'limit:disk:free': 0, 'nexslog:en': True}
QUERY = '[ inet:ipv4=1.2.3.4 :asn=30 +#foo.bar=(2020, 2021) <(seen)+ {[ meta:source=* :name=woot ]} ] $node.data.set(a, b)'
CHECK = 'inet:ipv4=1.2.3.4 +:asn=30 +#foo.bar <(seen)- meta:source +:name=woot'
TGZ = {}


def run(*args, code=0):
    proc = subprocess.run([opts.binary, *args], capture_output=True, text=True, timeout=120)
    assert proc.returncode == code, f'{args}: {proc.returncode}: {proc.stdout} {proc.stderr}'
    return proc.stdout


@contextlib.asynccontextmanager
async def ours(name, dirn, *args, env=None):
    os.makedirs(dirn, exist_ok=True)
    log = open(dirn.rstrip('/') + '.log', 'ab')
    argv = [opts.binary, name, dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0', *args]
    proc = subprocess.Popen(argv, stderr=log, env={**os.environ, **(env or {})})
    try:
        for _ in range(1200):
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(f'cell://{dirn}') as prox:
                    await prox.getCellInfo()
                    break
            assert proc.poll() is None, f'{name} ended: {open(log.name).read()[-2000:]}'
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f'{name} did not come up')
        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
            yield prox
    finally:
        proc.send_signal(signal.SIGTERM)
        proc.wait(30)


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = TGZ[self.path]
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


async def fill(kind, cell):
    '''The same contents for either side, by calls that both know.'''
    if kind == 'cortex':
        async for mesg in cell.storm(QUERY):
            assert mesg[0] != 'err', mesg
        await cell.callStorm('$lib.axon.put($lib.base64.decode(Zm9v)) $lib.queue.add(q).put(1) $lib.globals.set(x, y) return()')
    elif kind == 'axon':
        await cell.put(b'asdf' * 1000)
        await cell.put(b'')
    else:
        await cell.setPathObj('foo/bar', {'a': [1, 2]})
        await cell.setPathLink('foo/baz', 'foo/bar')


async def holds(kind, cell):
    if kind == 'cortex':
        assert await cell.count(CHECK) == 1
        assert await cell.callStorm('inet:ipv4 return($node.data.get(a))') == 'b'
        sha = hashlib.sha256(b'foo').hexdigest()
        assert await cell.callStorm('return($lib.axon.size($sha))', opts={'vars': {'sha': sha}}) == 3
        assert await cell.callStorm('return(($lib.queue.get(q).size(), $lib.globals.get(x)))') == (1, 'y')
    elif kind == 'axon':
        assert await cell.size(hashlib.sha256(b'asdf' * 1000).digest()) == 4000
        assert await cell.has(hashlib.sha256(b'').digest())
    else:
        assert await cell.getPathObj('foo/baz') == {'a': (1, 2)}


CTORS = {'cortex': s_cortex.Cortex, 'axon': s_axon.Axon, 'jsonstor': s_jsonstor.JsonStorCell}


async def theirs_starts_here(base, kind):
    dirn, back = os.path.join(base, f'py-{kind}'), os.path.join(base, f'backups-py-{kind}')
    conf = {**CONF, 'backup:dir': back}
    async with await CTORS[kind].anit(dirn, conf=conf) as cell:
        async with cell.getLocalProxy() as prox:
            await fill(kind, prox)
            await prox.runBackup('one')
    # Our tool on their directory. Not beside the running service: the two LMDBs lay out their lock files differently.
    copied = os.path.join(base, f'copied-py-{kind}')
    run('tool', 'service.backup', dirn, copied)
    for path in (os.path.join(back, 'one'), copied, dirn):
        run('tool', 'service.verify', path, '--quiet')
        async with ours(kind, path) as prox:
            await holds(kind, prox)
        run('tool', 'service.verify', path, '--quiet')
    print(f'  {kind}: backups of the original start here and verify')


async def ours_starts_there(base, kind):
    dirn, back = os.path.join(base, f'rs-{kind}'), os.path.join(base, f'backups-rs-{kind}')
    async with ours(kind, dirn, '--nexslog-en', '--backup-dir', back) as prox:
        await fill(kind, prox)
        assert await prox.runBackup() in await prox.getBackups()
        name = (await prox.getBackups())[0]
        tgz = b''.join([byts async for byts in prox.iterNewBackupArchive(name='two', remove=True)])
        assert await prox.getBackups() == (name,)
        again = b''.join([byts async for byts in prox.iterBackupArchive(name)])
        assert again[:2] == b'\x1f\x8b'
        info = await prox.getBackupInfo()
        assert info['lastsize'] > 0 and info['lastexception'] is None and info['lastupload'] > 0, info
        with contextlib.suppress(Exception):
            await prox.runBackup(name)
            raise AssertionError('a name twice')
    copied = os.path.join(base, f'copied-rs-{kind}')
    s_t_backup.backup(dirn, copied)
    for path in (os.path.join(back, name), copied):
        async with await CTORS[kind].anit(path, conf=CONF) as cell:
            async with cell.getLocalProxy() as prox:
                await holds(kind, prox)
        run('tool', 'service.verify', path, '--quiet')
    print(f'  {kind}: our backups start in the original')
    return tgz


async def restored_there(base, url):
    '''The original restores our archive by its environment variable, and we restore it again.'''
    for side in ('there', 'here'):
        dirn = os.path.join(base, f'restored-{side}')
        env = {'SYN_RESTORE_HTTPS_URL': url}
        if side == 'here':
            async with ours('axon', dirn, env=env) as prox:
                await holds('axon', prox)
        else:
            argv = [sys.executable, '-m', 'synapse.servers.axon', dirn, '--https', '0', '--telepath', 'tcp://127.0.0.1:0']
            proc = subprocess.Popen(argv, env={**os.environ, **env}, stderr=subprocess.DEVNULL)
            try:
                for _ in range(600):
                    with contextlib.suppress(Exception):
                        async with await s_telepath.openurl(f'cell://{dirn}') as prox:
                            await holds('axon', prox)
                            break
                    assert proc.poll() is None, 'the original ended'
                    await asyncio.sleep(0.1)
                else:
                    raise AssertionError('the original did not come up')
            finally:
                proc.send_signal(signal.SIGTERM)
                proc.wait(30)
        assert os.path.isfile(os.path.join(dirn, 'restore.done'))
    assert open(os.path.join(base, 'restored-here', 'restore.done')).read() == \
        open(os.path.join(base, 'restored-there', 'restore.done')).read()
    print('  an archive of ours is restored by both')


async def main():
    with tempfile.TemporaryDirectory() as base:
        web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        for kind in CTORS:
            await theirs_starts_here(base, kind)
            TGZ[f'/{kind}.tgz'] = await ours_starts_there(base, kind)
        await restored_there(base, f'http://127.0.0.1:{web.server_port}/axon.tgz')


if __name__ == '__main__':
    began = time.monotonic()
    asyncio.run(main())
    print(f'backup: ok in {time.monotonic() - began:.1f} s')
