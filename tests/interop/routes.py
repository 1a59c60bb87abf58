'''
The HTTPS routes of a cortex, and endpoints of the Extended HTTP API, as clients see them.

Usage: http.py --binary MYELIN
'''
import os
import ssl
import sys
import json
import time
import base64
import signal
import socket
import argparse
import hashlib
import tempfile
import subprocess
import urllib.error
import urllib.request

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()

CTX = ssl._create_unverified_context()


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Cortex:
    def __init__(self, dirn):
        self.port = free_port()
        with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
            fd.write('auth:passwd: secret\n')
        self.log = open(dirn + '.log', 'wb')
        argv = [opts.binary, 'cortex', dirn, '--telepath', 'tcp://127.0.0.1:0/', '--https', str(self.port)]
        self.proc = subprocess.Popen(argv, stderr=self.log, stdout=self.log)
        for _ in range(600):
            try:
                self.ask('GET', '/api/v1/active')
                return
            except OSError:
                assert self.proc.poll() is None, open(self.log.name).read()[-2000:]
                time.sleep(0.1)
        raise AssertionError('the cortex did not come up')

    def ask(self, meth, path, body=None, user='root:secret', headers=None):
        '''Status, headers and body.'''
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        req = urllib.request.Request(f'https://127.0.0.1:{self.port}{path}', data=body, method=meth, headers=headers or {})
        if user is not None:
            req.add_header('Authorization', 'Basic ' + base64.b64encode(user.encode()).decode())
        try:
            with urllib.request.urlopen(req, context=CTX, timeout=30) as resp:
                return resp.status, resp.headers, resp.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def api(self, meth, path, body=None, **kw):
        code, _, byts = self.ask(meth, path, body, **kw)
        return code, json.loads(byts)

    def call(self, text, **kw):
        code, item = self.api('POST', '/api/v1/storm/call', {'query': text, 'opts': kw})
        assert (code, item['status']) == (200, 'ok'), item
        return item['result']

    def fini(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)


def storm(core):
    assert core.api('POST', '/api/v1/storm/call', {'query': 'return((40 + 2))'}) == (200, {'status': 'ok', 'result': 42})
    code, item = core.api('POST', '/api/v1/storm/call', {'query': 'return(1)'}, user=None)
    assert (code, item['code']) == (401, 'NotAuthenticated')
    code, item = core.api('POST', '/api/v1/storm/call', {'query': '|||'})
    assert (code, item['code']) == (400, 'BadSyntax')
    code, item = core.api('POST', '/api/v1/storm/call', {'query': '', 'opts': {'view': 'newp'}})
    assert (code, item['code']) == (404, 'NoSuchView')

    core.call('$lib.auth.users.add(visi).setPasswd(secret)')
    root = core.call('return($lib.user.iden)')
    code, item = core.api('POST', '/api/v1/storm/call', {'query': '', 'opts': {'user': root}}, user='visi:secret')
    assert (code, item['code']) == (403, 'AuthDeny')

    code, _, byts = core.ask('POST', '/api/v1/storm', {'query': '[inet:ipv4=1.2.3.4] $lib.print(hi)', 'stream': 'jsonlines'})
    mesgs = [json.loads(line) for line in byts.splitlines()]
    assert code == 200 and mesgs[0][0] == 'init' and mesgs[-1][0] == 'fini', mesgs
    assert ['print', {'mesg': 'hi'}] in mesgs and any(m[0] == 'node:edits' for m in mesgs)
    code, _, byts = core.ask('GET', '/api/v1/storm/nodes', {'query': 'inet:ipv4', 'stream': 'jsonlines'})
    assert [json.loads(line)[0] for line in byts.splitlines()] == [['inet:ipv4', 0x01020304]]
    code, headers, byts = core.ask('POST', '/api/v1/storm/export', {'query': 'inet:ipv4'})
    assert headers['Content-Type'] == 'application/x-synapse-nodes' and byts

    assert core.api('POST', '/api/v1/reqvalidstorm', {'query': 'inet:ipv4'})[1]['result'] is True
    assert core.api('POST', '/api/v1/isvalidstorm', {'query': '||'})[1]['result'][0] is False
    code, item = core.api('POST', '/api/v1/feed', {'items': [[['inet:fqdn', 'foo.com'], {}]]})
    assert (code, item['result']) == (200, None) and core.call('inet:fqdn=foo.com return($node.repr())') == 'foo.com'
    assert core.api('POST', '/api/v1/feed', {'name': 'newp', 'items': []})[1]['code'] == 'NoSuchFunc'


def model(core):
    code, item = core.api('POST', '/api/v1/model/norm', {'prop': 'inet:ipv4', 'value': '1.2.3.4'})
    assert (code, item['result']['norm']) == (200, 0x01020304)
    code, item = core.api('POST', '/api/v1/model/norm', {'prop': 'inet:ipv4', 'value': 'newp'})
    assert (code, item['code']) == (400, 'BadTypeValu')
    assert core.api('POST', '/api/v1/model/norm', {'prop': 'newp', 'value': 1})[0] == 404
    assert core.api('POST', '/api/v1/model/norm', {})[1]['code'] == 'MissingField'
    assert 'inet:ipv4' in core.api('GET', '/api/v1/model')[1]['result']['forms']
    assert core.api('GET', '/api/v1/core/info')[1]['result']['version'][0] == 2

    assert core.api('POST', '/api/v1/storm/vars/set', {'name': 'foo', 'value': [1]}) == (200, {'status': 'ok', 'result': True})
    assert core.api('GET', '/api/v1/storm/vars/get', {'name': 'foo'})[1]['result'] == [1]
    code, item = core.api('GET', '/api/v1/storm/vars/get', {'name': 'foo'}, user='visi:secret')
    assert (code, item['code']) == (403, 'AuthDeny')
    assert core.api('POST', '/api/v1/storm/vars/pop', {'name': 'foo'})[1]['result'] == [1]
    assert core.api('GET', '/api/v1/storm/vars/get', {'name': 'foo', 'default': 2})[1]['result'] == 2


def files(core):
    byts = os.urandom(300000)
    sha = hashlib.sha256(byts).hexdigest()
    code, item = core.api('PUT', '/api/v1/axon/files/put', byts)
    assert (code, item['result']['size'], item['result']['sha256']) == (200, len(byts), sha)
    path = f'/api/v1/axon/files/by/sha256/{sha}'
    assert core.ask('GET', path)[2] == byts
    code, headers, part = core.ask('GET', path, headers={'Range': 'bytes=10-19'})
    assert (code, part, headers['Content-Range']) == (206, byts[10:20], f'bytes 10-19/{len(byts)}')
    assert core.ask('GET', path, headers={'Range': f'bytes={len(byts)}-'})[0] == 416
    assert core.ask('HEAD', path)[1]['Content-Length'] == str(len(byts))
    assert core.api('GET', f'/api/v1/axon/files/has/sha256/{sha}')[1]['result'] is True
    assert core.api('GET', path, user='visi:secret')[0] == 403
    assert core.api('GET', '/api/v1/axon/files/by/sha256/newp')[0] == 404
    assert core.api('POST', '/api/v1/axon/files/del', {'sha256s': [sha]})[1]['result'] == [[sha, True]]
    assert core.api('DELETE', path)[0] == 404


def extended(core):
    iden = core.call("""
        $api = $lib.cortex.httpapi.add('echo/([a-z]+)/(.*)')
        $api.methods.get = ${ $request.reply(201, headers=({"Yup": "yes"}), body=({
            "args": $request.args, "params": $request.params, "user": $lib.user.name(), "host": $request.headers.HOST})) }
        $api.methods.post = ${ $request.sendcode(200) for $i in $lib.range(3) { $b=`{$i} ` $request.sendbody($b.encode()) } }
        $api.methods.put = ${ $request.sendbody(({}).encode) }
        $api.methods.delete = ${ $lib.print(nothing) }
        $api.methods.options = ${ $request.reply(204) }
        return($api.iden)
    """)
    code, headers, byts = core.ask('GET', '/api/ext/echo/foo/bar%20baz?a=1&a=2')
    item = json.loads(byts)
    assert (code, headers['Yup'], headers['X-Content-Type-Options']) == (201, 'yes', None)
    assert item['args'] == ['foo', 'bar baz'] and item['params'] == {'a': '1'} and item['user'] == 'root', item
    assert item['host'] == f'127.0.0.1:{core.port}'
    assert core.ask('POST', '/api/ext/echo/foo/bar')[2] == b'0 1 2 '
    assert core.ask('PUT', '/api/ext/echo/foo/bar')[0] == 500
    code, item = core.api('DELETE', '/api/ext/echo/foo/bar')
    assert (code, item['code']) == (500, 'StormRuntimeError')
    assert core.ask('OPTIONS', '/api/ext/echo/foo/bar')[0] == 204
    code, headers, _ = core.ask('PATCH', '/api/ext/echo/foo/bar')
    assert code == 405 and 'GET' in headers['Allowed']
    assert core.api('GET', '/api/ext/echo/FOO/bar')[1]['code'] == 'NoSuchPath'
    assert core.api('GET', '/api/ext/echo/foo/bar', user=None)[0] == 401

    # who it runs as, and what it asks of who calls
    core.call('$api=$lib.cortex.httpapi.get($iden) $api.runas=user $api.perms.append(foo.bar)', vars={'iden': iden})
    assert core.api('GET', '/api/ext/echo/foo/bar', user='visi:secret')[0] == 403
    core.call('$lib.auth.users.byname(visi).addRule(([true, ["foo", "bar"]]))')
    assert core.api('GET', '/api/ext/echo/foo/bar', user='visi:secret')[1]['user'] == 'visi'
    core.call('$api=$lib.cortex.httpapi.get($iden) $api.authenticated=(false)', vars={'iden': iden})
    assert core.api('GET', '/api/ext/echo/foo/bar', user=None)[1]['user'] == 'root'

    # the first that matches answers
    core.call("$api=$lib.cortex.httpapi.add('echo/foo/bar') $api.methods.get=${ $request.reply(200, body=other) }")
    assert core.ask('GET', '/api/ext/echo/foo/bar')[0] == 201
    core.call('$api=$lib.cortex.httpapi.getByPath("echo/foo/bar") $lib.cortex.httpapi.index($api.iden, 5)')
    assert core.ask('GET', '/api/ext/echo/foo/bar')[::2] == (200, b'"other"')
    core.call('$lib.cortex.httpapi.del($iden)', vars={'iden': iden})
    assert core.api('GET', '/api/ext/echo/foo/other')[0] == 404


def main():
    with tempfile.TemporaryDirectory() as base:
        dirn = os.path.join(base, 'core')
        os.makedirs(dirn)
        core = Cortex(dirn)
        try:
            for part in (storm, model, files, extended):
                part(core)
                print(f'{part.__name__}: ok', flush=True)
        finally:
            core.fini()


if __name__ == '__main__':
    sys.exit(main())
