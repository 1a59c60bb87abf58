'''
The deployment guide, step by step, on one machine: docs/deployment.md and the configuration that earlier guides print.

The whole script runs in network and mount namespaces of its own, so that it may use the guide's ports and names
(/etc/hosts there names aha.loop.vertex.link). A "container" is a further mount namespace in which the service's folders lie at
/vertex/storage and /vertex/backups and `python` is docker/python, the stand-in of our images; or the real Python, where a
service is replaced by the original.

Usage: guide.py --binary MYELIN [modern] [literal] [their-aha] [their-axon] [their-jsonstor] [their-cortex]
'''
import os
import re
import sys
import json
import time
import shutil
import signal
import asyncio
import argparse
import tempfile
import traceback
import contextlib
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
DOCKER = os.path.normpath(os.path.join(HERE, '..', '..', 'docker'))
NETWORK = 'loop.vertex.link'
AHAHOST = f'aha.{NETWORK}'
INSIDE = 'MYELIN_GUIDE_INSIDE'

VARIANTS = {
    'modern': {},
    'literal': {'literal': True},
    'their-aha': {'theirs': ('aha',)},
    'their-axon': {'theirs': ('axon',)},
    'their-jsonstor': {'theirs': ('jsonstor',)},
    'their-cortex': {'theirs': ('cortex',)},
}

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--keep', action='store_true', help='leave the folders behind')
pars.add_argument('variants', nargs='*')
opts = pars.parse_args()


def enter():
    '''Starts this script again inside namespaces of its own. Only that one may use the official package: HOME is set there.'''
    base = tempfile.mkdtemp(prefix='guide')
    made = not os.path.isdir('/vertex')
    if made:
        try:
            os.mkdir('/vertex')
        except OSError as e:
            print(f'guide: skipped, it needs root for the containers\' folders ({e})')
            return 0
    hosts = os.path.join(base, 'hosts')
    with open(hosts, 'w') as fd:
        fd.write(f'127.0.0.1 localhost {AHAHOST}\n')
    script = ('mount --bind "$0" /etc/hosts && mount -t tmpfs none /vertex && mkdir /vertex/storage /vertex/backups '
              '&& ip link set lo up && exec "$@"')
    argv = ['unshare', '-mn', '--propagation', 'private']
    if subprocess.run([*argv, 'true'], capture_output=True).returncode:
        print('guide: skipped, this machine gives no mount and network namespaces (unshare -mn)')
        return 0
    env = {**os.environ, INSIDE: base, 'HOME': os.path.join(base, 'visi')}
    argv += ['sh', '-c', script, hosts, sys.executable, os.path.abspath(__file__), '--binary', os.path.abspath(opts.binary)]
    code = subprocess.run([*argv, *opts.variants], env=env).returncode
    if made:
        os.rmdir('/vertex')
    if code or opts.keep:
        print(f'left: {base}')
    else:
        shutil.rmtree(base)
    return code


if INSIDE not in os.environ:
    sys.exit(enter())

BASE = os.environ[INSIDE]
os.makedirs(os.environ['HOME'], exist_ok=True)

import synapse.telepath as s_telepath  # noqa: E402

import synapse.lib.certdir as s_certdir  # noqa: E402


class Box:
    '''One service's container: folders, configuration, log and process.'''

    def __init__(self, root, name, kind=None, image='ours', env=None):
        self.name, self.kind, self.image = name, kind or name, image
        self.dirn = os.path.join(root, name)
        self.storage = os.path.join(self.dirn, 'storage')
        self.backups = os.path.join(self.dirn, 'backups')
        self.log = os.path.join(self.dirn, 'log')
        self.env = dict(env or {})
        self.proc = None
        os.makedirs(self.storage)
        os.makedirs(self.backups)

    def conf(self, text):
        with open(os.path.join(self.storage, 'cell.yaml'), 'w') as fd:
            fd.write(text)

    def argv(self, *argv):
        script = 'mount --bind "$0" /vertex/storage && mount --bind "$1" /vertex/backups && shift && exec "$@"'
        return ['unshare', '-m', 'sh', '-c', script, self.storage, self.backups, *argv]

    def environ(self, image):
        path = DOCKER if image == 'ours' else os.path.dirname(sys.executable)
        env = {**os.environ, **self.env, 'MYELIN': opts.binary, 'MYELIN_SERVICE': self.kind}
        env['PATH'] = f'{path}:{os.environ["PATH"]}'
        # A container has no certificates but those of its service.
        env['HOME'] = self.dirn
        return env

    def start(self):
        if self.image == 'ours':
            argv = [os.path.join(DOCKER, 'entrypoint')]
        else:
            argv = ['python', '-m', f'synapse.servers.{self.kind}', '/vertex/storage']
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen(self.argv(*argv), env=self.environ(self.image), stdout=log, stderr=log)

    async def up(self):
        self.start()
        for _ in range(900):
            if self.proc.poll() is not None:
                raise AssertionError(f'{self.name} ended with {self.proc.returncode}:\n{self.logs()[-3000:]}')
            with contextlib.suppress(Exception):
                async with self.open() as prox:
                    if (await prox.getCellInfo())['cell']['ready']:
                        return self
            await asyncio.sleep(0.1)
        raise AssertionError(f'{self.name} did not come up:\n{self.logs()[-3000:]}')

    @contextlib.asynccontextmanager
    async def open(self):
        async with await s_telepath.openurl(f'cell://{self.storage}') as prox:
            yield prox

    def tool(self, name, *args, image=None, fails=False):
        '''Runs a tool inside the container as a runbook does; what it printed.'''
        argv = self.argv('python', '-m', f'synapse.tools.{name}', *args)
        return run(argv, self.environ(image or self.image), fails)

    def logs(self):
        with open(self.log) as fd:
            return fd.read()

    def down(self):
        if self.proc is None:
            return
        proc, self.proc = self.proc, None
        proc.send_signal(signal.SIGTERM)
        try:
            assert proc.wait(60) == 0, f'{self.name} ended with {proc.returncode}:\n{self.logs()[-2000:]}'
        except subprocess.TimeoutExpired:
            proc.kill()
            raise AssertionError(f'{self.name} did not end')


def run(argv, env, fails=False):
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
    said = f'{argv[-4:]} ended with {done.returncode}: {done.stdout}\n{done.stderr[-2000:]}'
    assert bool(done.returncode) == fails, said
    return done.stdout + (done.stderr if fails else '')


def find(pattern, text):
    match = re.search(pattern, text)
    assert match, f'{pattern!r} is not in {text!r}'
    return match.group(1)


async def raises(name, coro):
    try:
        await coro
    except Exception as e:
        assert e.__class__.__name__ == name, f'{e!r} is not {name}'
        return
    raise AssertionError(f'{name} was not raised')


async def storm(prox, text, **opts):
    nodes, prints = [], []
    async for mesg in prox.storm(text, opts=opts):
        assert mesg[0] not in ('err', 'warn'), mesg
        if mesg[0] == 'node':
            nodes.append(mesg[1][0][1])
        elif mesg[0] == 'print':
            prints.append(mesg[1]['mesg'])
    return nodes, prints


class Guide:

    def __init__(self, variant, literal=False, theirs=()):
        self.literal, self.theirs = literal, theirs
        self.root = os.path.join(BASE, variant)
        self.boxes = []

    def box(self, name, kind=None, env=None):
        box = Box(self.root, name, kind, 'theirs' if (kind or name) in self.theirs else 'ours', env)
        self.boxes.append(box)
        return box

    def step(self, what):
        print(f'   {what}', flush=True)

    async def go(self):
        try:
            await self.deploy_aha()
            await self.deploy_axon()
            await self.deploy_jsonstor()
            await self.deploy_cortex()
            await self.admins()
            await self.users()
            await self.storm_over_aha()
            await self.a_file()
            await self.a_document()
            if 'cortex' not in self.theirs:
                await self.deploy_mirror()
            await self.backup()
            await self.structured_logs()
            await self.update()
        finally:
            for box in reversed(self.boxes):
                box.down()

    # ---- the services

    async def deploy_aha(self):
        self.step('AHA')
        self.aha = self.box('aha')
        if self.literal:
            self.aha.conf('\n'.join((
                f'aha:name: {AHAHOST}',
                f'aha:network: {NETWORK}',
                f'aha:admin: root@{NETWORK}',
                f'aha:urls: ssl://{AHAHOST}:27492',
                '',
                'backup:dir: /vertex/backups',
                '',
                f'dmon:listen: ssl://0.0.0.0:27492?hostname={AHAHOST}&ca={NETWORK}',
                'provision:listen: tcp://0.0.0.0:27272',
                '')))
        else:
            self.aha.conf(f'aha:network: {NETWORK}\ndns:name: {AHAHOST}\naha:admin: root@{NETWORK}\n'
                          'backup:dir: /vertex/backups\n')
        await self.aha.up()

    def provision(self, name, *args):
        '''What goes into aha:provision of a new service.'''
        if self.literal:
            said = self.aha.tool('aha.provision', name, *args)
            key = find(r'^one-time use provisioning key: ([0-9a-f]{32})\n$', said)
            return f'tcp://{AHAHOST}:27272/{key}'
        said = self.aha.tool('aha.provision.service', name, *args)
        return find(rf'^one-time use URL: (ssl://{AHAHOST}:27272/[0-9a-f]{{32}}\?certhash=[0-9a-f]{{64}})\n$', said)

    async def deploy(self, name, kind=None, provargs=(), env=None):
        if (kind or name) in self.theirs:
            # On one host the original cannot do with the usual HTTPS port in use.
            provargs = (*provargs, '--https-port', '0')
        url = self.provision(name, *provargs)
        box = self.box(name, kind, env)
        box.conf(f'backup:dir: /vertex/backups\naha:provision: {url}\n')
        await box.up()
        await self.registered(name)
        assert os.path.isfile(os.path.join(box.storage, 'certs', 'hosts', f'{name}.{NETWORK}.crt'))
        return box, url

    async def registered(self, name):
        async with self.aha.open() as prox:
            for _ in range(300):
                svc = await prox.getAhaSvc(f'{name}...')
                if svc and svc['svcinfo'].get('online') and svc['svcinfo']['ready']:
                    return svc
                await asyncio.sleep(0.1)
        raise AssertionError(f'{name} is not registered: {svc}')

    async def deploy_axon(self):
        self.step('Axon, and the second use of its URL')
        # The guide's first form names services without a number.
        name = 'axon' if self.literal else '00.axon'
        self.axon, url = await self.deploy(name, 'axon')
        await self.registered('axon')
        await raises('NoSuchName', s_telepath.openurl(url))
        thief = self.box('thief', 'axon')
        thief.conf(f'aha:provision: {url}\n')
        thief.start()
        assert thief.proc.wait(60) != 0
        thief.proc = None
        if thief.image == 'ours':
            assert 'NoSuchName' in thief.logs() and 'used' in thief.logs(), thief.logs()
        assert not os.path.exists(os.path.join(thief.storage, 'cell.guid'))

    async def deploy_jsonstor(self):
        self.step('JSONStor')
        self.jsonstor, _ = await self.deploy('jsonstor' if self.literal else '00.jsonstor', 'jsonstor')
        await self.registered('jsonstor')

    async def deploy_cortex(self):
        self.step('Cortex')
        self.coreenv = {'SYN_CORTEX_AXON': 'aha://axon...', 'SYN_CORTEX_JSONSTOR': 'aha://jsonstor...'}
        self.cortex, _ = await self.deploy('00.cortex', 'cortex', env=self.coreenv)
        await self.registered('cortex')
        said = self.aha.tool('aha.list', 'cell:///vertex/storage')
        for name in ('00.cortex', 'cortex', 'axon', 'jsonstor'):
            assert re.search(rf'^{re.escape(name)} +{NETWORK} +\w+ +True +ssl ', said, re.M), said

    # ---- people

    async def admins(self):
        self.step('admins: aha:admin, and one added with a tool')
        for box in (self.aha, self.cortex):
            async with box.open() as prox:
                user = await prox.getUserDefByName(f'root@{NETWORK}')
                assert user and user['admin'], (box.name, user)
        # The user's certificate is there as well, and opens every service.
        certs = os.path.join(self.aha.storage, 'certs')
        svc = (await self.registered('cortex'))['svcinfo']['urlinfo']
        url = f'ssl://127.0.0.1:{svc["port"]}?hostname={svc["hostname"]}&certname=root@{NETWORK}'
        async with await s_telepath.openurl(url, certdir=s_certdir.CertDir(certs)) as prox:
            assert (await prox.getCellUser())['admin']
        for box in (self.cortex, self.axon):
            said = box.tool('service.moduser', '--add', '--admin', 'true', 'visi')
            assert 'Adding user: visi' in said, said
            said = box.tool('service.moduser', '--list', 'visi', image='theirs')
            assert re.search(r'[Aa]dmin: +True', said), said
        self.cortex.tool('service.moduser', '--add', 'newb', '--allow', 'node')

    async def users(self):
        self.step('users enroll: with the official tool, and with ours')
        self.homes = {}
        for name, image in (('visi', 'theirs'), ('newb', 'ours')):
            said = self.aha.tool('aha.provision.user', name)
            url = find(r'^one-time use URL: (\S+)\n$', said)
            home = os.environ['HOME'] if name == 'visi' else os.path.join(BASE, 'newb')
            # Each deployment is a network of its own.
            shutil.rmtree(os.path.join(home, '.syn'), ignore_errors=True)
            os.makedirs(home, exist_ok=True)
            self.homes[name] = {**self.aha.environ(image), 'HOME': home}
            said = run(['python', '-m', 'synapse.tools.aha.enroll', url], self.homes[name])
            for what in ('Saved CA certificate', 'Saved user certificate', 'Updating known AHA servers'):
                assert what in said, said
            run(['python', '-m', 'synapse.tools.aha.enroll', url], self.homes[name], fails=True)
            said = self.aha.tool('aha.provision.user', name, fails=True)
            assert 'again' in said, said
            self.aha.tool('aha.provision.user', '--again', '--only-url', name)

    @contextlib.asynccontextmanager
    async def visi(self, svc='cortex'):
        path = os.path.join(os.environ['HOME'], '.syn', 'telepath.yaml')
        fini = await s_telepath.loadTeleEnv(path)
        try:
            async with await s_telepath.openurl(f'aha://visi@{svc}...') as prox:
                yield prox
        finally:
            if fini is not None:
                await fini()

    async def storm_over_aha(self):
        self.step('Storm over aha://, with both clients')
        async with self.visi() as prox:
            assert (await prox.getCellUser())['name'] == 'visi'
            nodes, _ = await storm(prox, '[ inet:fqdn=vertex.link +#guide ]')
            assert nodes == ['vertex.link'], nodes
        said = run(['python', '-m', 'synapse.tools.storm', 'aha://newb@cortex...', 'inet:fqdn#guide'], self.homes['newb'])
        assert 'inet:fqdn=vertex.link' in said and 'complete. 1 nodes' in said, said
        said = run(['python', '-m', 'synapse.tools.storm', 'aha://visi@cortex...', 'inet:fqdn#guide'], self.homes['visi'])
        assert 'inet:fqdn=vertex.link' in said, said
        # One who may not do a thing cannot do it by this way either.
        said = run(['python', '-m', 'synapse.tools.storm', 'aha://newb@cortex...', 'auth.user.add x'], self.homes['newb'],
                   fails=True)
        assert 'newb' in said and 'auth.users.add' in said, said

    async def a_file(self):
        self.step('a file through the Axon')
        path = os.path.join(self.root, 'note.txt')
        with open(path, 'w') as fd:
            fd.write('a note for the axon')
        said = run(['python', '-m', 'synapse.tools.axon.put', '-a', 'aha://visi@axon...', '-c', 'aha://visi@cortex...',
                    '-t', 'guide.file', path], self.homes['visi'])
        assert 'Uploaded [note.txt] to axon' in said, said
        async with self.visi() as prox:
            text = 'file:bytes#guide.file for $line in $lib.axon.readlines(:sha256) { $lib.print($line) }'
            _, prints = await storm(prox, text)
            assert prints == ['a note for the axon'], prints
            sha = await prox.callStorm('return($lib.axon.put($lib.cast(str, hello).encode()))')
            assert sha[0] == 5, sha
        async with self.visi('axon') as prox:
            assert b''.join([b async for b in prox.get(bytes.fromhex(sha[1]))]) == b'hello'

    async def a_document(self):
        self.step('a document through the JSONStor')
        async with self.visi() as prox:
            assert await prox.callStorm('$lib.jsonstor.set((guide, doc), ({"hi": "there"})) '
                                        'return($lib.jsonstor.get((guide, doc)))') == {'hi': 'there'}
        async with self.jsonstor.open() as prox:
            paths = [path async for path, item in prox.getPathObjs('') if item == {'hi': 'there'}]
            assert len(paths) == 1 and paths[0][-2:] == ('guide', 'doc'), paths

    # ---- operations

    async def deploy_mirror(self):
        self.step('a Cortex mirror')
        self.mirror, _ = await self.deploy('01.cortex', 'cortex', ('--mirror', 'cortex'), env=self.coreenv)
        async with self.visi() as prox:
            await storm(prox, '[ inet:fqdn=mirrored.vertex.link ]')
            offs = await prox.getNexsIndx()
        async with self.mirror.open() as prox:
            assert (await prox.getCellInfo())['cell']['active'] is False
            await prox.waitNexsOffs(offs - 1, timeout=30)
            assert (await storm(prox, 'inet:fqdn=mirrored.vertex.link'))[0]
            # A change by way of the mirror is the leader's.
            await storm(prox, '[ inet:fqdn=through.vertex.link ]')
        async with self.cortex.open() as prox:
            assert (await storm(prox, 'inet:fqdn=through.vertex.link'))[0]

    async def backup(self):
        self.step('a backup, and a Cortex restored from it')
        async with self.cortex.open() as prox:
            name = await prox.runBackup(name='guide')
            assert name == 'guide' and await prox.getBackups() == ('guide',)
            await storm(prox, '[ inet:fqdn=after.backup.link ]')
        restored = self.box('restored', 'cortex')
        shutil.rmtree(restored.storage)
        shutil.copytree(os.path.join(self.cortex.backups, 'guide'), restored.storage)
        # By itself: not the service of that name in AHA.
        for name in ('cell.yaml', 'cell.mods.yaml'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(restored.storage, name))
        restored.conf('dmon:listen: tcp://127.0.0.1:0\nhttps:port: null\n')
        await restored.up()
        async with restored.open() as prox:
            assert (await storm(prox, 'inet:fqdn#guide'))[0] == ['vertex.link']
            assert (await storm(prox, 'inet:fqdn=after.backup.link'))[0] == []
        restored.down()

    async def structured_logs(self):
        self.step('structured logging')
        self.cortex.down()
        self.cortex.env.update({'SYN_LOG_STRUCT': 'true', 'SYN_CORTEX_STORM_LOG': 'true'})
        before = len(self.cortex.logs())
        await self.cortex.up()
        await self.registered('cortex')
        async with self.visi() as prox:
            await storm(prox, 'inet:fqdn#guide // logged')
        await asyncio.sleep(1)
        lines = [json.loads(line) for line in self.cortex.logs()[before:].splitlines()]
        for line in lines:
            assert {'message', 'logger', 'level', 'time', 'params'} <= set(line), line
        query = [line for line in lines if 'logged' in str(line['params'].get('text'))]
        assert query and query[0]['username'] == 'visi', lines[-5:]

    async def update(self):
        self.step('updating: every service restarted, a replaced one with our build')
        for box in (self.axon, self.jsonstor, self.cortex):
            box.down()
            box.env.pop('SYN_LOG_STRUCT', None)
            box.image = 'ours'
            await box.up()
        await self.registered('cortex')
        async with self.visi() as prox:
            assert (await storm(prox, 'inet:fqdn#guide'))[0] == ['vertex.link']
            _, prints = await storm(prox, 'file:bytes#guide.file for $line in $lib.axon.readlines(:sha256) { $lib.print($line) }')
            assert prints == ['a note for the axon'], prints
            assert await prox.callStorm('return($lib.jsonstor.get((guide, doc)))') == {'hi': 'there'}


def main():
    failed = []
    for name in opts.variants or VARIANTS:
        began = time.monotonic()
        print(f'-- guide {name}', flush=True)
        try:
            asyncio.run(Guide(name, **VARIANTS[name]).go())
            print(f'ok {name} ({time.monotonic() - began:.1f} s)', flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(name)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
