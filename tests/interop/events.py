'''
Every event that the original's four services have: made once by a leader and applied twice by its mirror, after which all
databases of both are the same, byte for byte; and every entry of the log has the bytes that the original would write.

The names are read from the original's own code, so that none can be forgotten.

Usage: events.py --binary MYELIN [service …]
'''
import os
import re
import glob
import argparse
import asyncio
import tempfile

import lmdb

import synapse
import synapse.common as s_common
import synapse.lib.msgpack as s_msgpack

from common import TWICE, Svc, cluster, copy_of, free_port, same

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('only', nargs='*')
opts = pars.parse_args()

SHA = s_common.uhex('2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824')
TICK = 1700000000000


def guid(*parts):
    return s_common.guid(parts)


# Who an event is for, its name, its arguments. `cell` is the service itself. What has a `!` at its end is refused, by the
# leader and by mirrors alike.
def cell_events(info):
    root, user, role, item = info['root'], guid('user'), guid('role'), guid('item')
    drive = {'iden': item, 'parent': '0' * 32, 'name': 'thing', 'kids': 0, 'version': (0, 0, 0), 'created': TICK, 'creator': root,
             'permissions': {'users': {}, 'roles': {}}}
    vers = {'version': (1, 2, 3), 'updated': TICK, 'updater': root}
    kdef = {'iden': guid('key'), 'name': 'k', 'user': user, 'created': TICK, 'updated': TICK, 'shadow': {}}
    yield 'cell', 'nexs:vers:set', ((2, 300),)
    yield 'cell', 'cell:vers:set', ('some:storage', 3)
    yield 'cell', 'drive:add', (drive,), {'path': None, 'reldir': '0' * 32}
    yield 'cell', 'drive:set:perm', (item, {'users': {root: 2}, 'roles': {}})
    # No service has a type of items that hold data.
    yield 'cell', 'drive:data:set', (item, vers, {'a': {'b': 1}}), {}, '!'
    yield 'cell', 'drive:data:path:set', (item, dict(vers, version=(1, 2, 4)), ('a', 'b'), 2), {}, '!'
    yield 'cell', 'drive:data:path:del', (item, dict(vers, version=(1, 2, 5)), ('a', 'b')), {}, '!'
    yield 'cell', 'drive:data:del', (item, (1, 2, 4))
    yield 'cell', 'drive:set:path', (item, ('other',))
    yield 'cell', 'drive:del', (item,)
    yield 'cell', 'http:sess:add', (guid('sess'), {'created': TICK})
    yield 'cell', 'http:sess:set', (guid('sess'), 'user', root)
    yield 'cell', 'http:sess:update', (guid('sess'), {'username': 'root'})
    yield 'cell', 'http:sess:add', (guid('gone'), {})
    yield 'cell', 'http:sess:del', (guid('gone'),)
    yield 'cell', 'hive:loadtree', ({'kids': {'a': {'value': 1}}}, ('some',), False)
    yield 'hive', 'hive:set', (('some', 'thing'), 2)
    yield 'hive', 'hive:pop', (('some', 'thing'),)
    yield 'cell', 'sync', ()
    for iden, name in ((user, 'visi'), (guid('gone'), 'gone')):
        yield 'auth:auth', 'user:add', (iden, name)
    yield 'auth:auth', 'user:name', (user, 'visi2')
    yield 'auth:auth', 'role:add', (role, 'ninjas')
    yield 'auth:auth', 'role:add', (guid('gonerole'), 'gone')
    yield 'auth:auth', 'role:name', (role, 'ninjas2')
    yield 'auth:auth', 'role:info', (role, 'rules', ((True, ('node',)),))
    for name, valu in (('roles', (role, guid('gonerole'))), ('admin', True), ('email', 'Visi@vertex.link'), ('rules', ((False, ('a', 'b')),)),
                       ('locked', True), ('archived', True)):
        yield 'auth:auth', 'user:info', (user, name, valu)
    yield 'auth:auth', 'user:info', (user, 'admin', True), {'gateiden': 'nope'}, '!'
    yield 'auth:auth', 'user:var:set', (user, 'a', {'b': (1, 2)})
    yield 'auth:auth', 'user:var:set', (user, 'c', 1)
    yield 'auth:auth', 'user:var:pop', (user, 'a'), {'default': 3}
    yield 'auth:auth', 'user:profile:set', (user, 'a', 1)
    yield 'auth:auth', 'user:profile:set', (user, 'b', 1)
    yield 'auth:auth', 'user:profile:pop', (user, 'a')
    yield 'cell', 'user:apikey:add', (kdef,)
    yield 'cell', 'user:apikey:add', (dict(kdef, iden=guid('gonekey')),)
    yield 'cell', 'user:apikey:edit', (user, kdef['iden'], {'name': 'k2', 'updated': TICK + 1})
    yield 'cell', 'user:apikey:del', (user, guid('gonekey'))
    yield 'auth:auth', 'user:del', (guid('gone'),)
    yield 'auth:auth', 'role:del', (guid('gonerole'),)
    yield 'cell', 'nexslog:rotate', ()
    yield 'cell', 'nexslog:setindex', (info['indx'] + 1000,)


def last_events(info):
    yield 'cell', 'nexslog:cull', (info['indx'] // 2,)


def aha_events(info):
    net, svc = 'loop.vertex', {'run': guid('run'), 'iden': guid('svc'), 'leader': 'x', 'urlinfo': {'scheme': 'tcp', 'host': 'h', 'port': 1},
                               'ready': True, 'online': guid('link')}
    yield 'cell', 'aha:server:add', ({'host': 'a.vertex.link', 'port': 1},)
    yield 'cell', 'aha:server:add', ({'host': 'b.vertex.link', 'port': 1},)
    yield 'cell', 'aha:server:del', ('b.vertex.link', 1)
    for name in ('00.x', '01.x', '02.x'):
        yield 'cell', 'aha:svc:add', (name, svc), {'network': net}
    yield 'cell', 'aha:svc:mod', (f'00.x.{net}', {'ready': False})
    yield 'cell', 'aha:svc:down', ('01.x', svc['online']), {'network': net}
    yield 'cell', 'aha:svc:down', ('00.x', 'another'), {'network': net}
    yield 'cell', 'aha:svc:del', ('02.x',), {'network': net}
    for name in ('pool', 'gone'):
        yield 'cell', 'aha:pool:add', ({'name': f'{name}.{net}', 'created': TICK, 'creator': info['root'], 'services': {}},)
    for name in ('00.x', '01.x'):
        yield 'cell', 'aha:pool:svc:add', (f'pool.{net}', f'{name}.{net}', {'created': TICK, 'creator': info['root']})
    yield 'cell', 'aha:pool:svc:del', (f'pool.{net}', f'01.x.{net}')
    yield 'cell', 'aha:pool:del', (f'gone.{net}',)
    for name in ('ca', 'host', 'user'):
        yield 'cell', f'aha:{name}:save', (f'some.{name}', 'KEY\n', 'CERT\n')
    for kind, info in (('svc:prov', {'conf': {'aha:name': 'y'}, 'dmon:port': 1}), ('enroll', {'name': 'visi'}), ('clone', {'host': 'c', 'port': 2, 'conf': {}})):
        for indx in range(3):
            yield 'cell', f'aha:{kind}:add', ({**info, 'iden': guid(kind, indx)},)
        if kind != 'clone':
            yield 'cell', f'aha:{kind}:del', (guid(kind, 0),)
        yield 'cell', f'aha:{kind}:clear', ()
        yield 'cell', f'aha:{kind}:add', ({**info, 'iden': guid(kind, 9)},)


def axon_events(info):
    yield 'cell', 'axon:bytes:add', (SHA, 0, 3, b'hel')
    yield 'cell', 'axon:bytes:add', (SHA, 1, 5, b'lo')
    yield 'cell', 'axon:file:add', (SHA, 5, {'tick': TICK})
    yield 'cell', 'axon:bytes:add', (b'\x01' * 32, 0, 1, b'x')
    yield 'cell', 'axon:file:add', (b'\x01' * 32, 1, {'tick': TICK})
    yield 'cell', 'axon:file:del', (b'\x01' * 32,)


def jsonstor_events(info):
    yield 'cell', 'json:set', ('a/b', {'c': {'d': 1, 'e': 2, 'f': 3, 'g': 4}})
    yield 'cell', 'json:set', (('a', 'c'), (1, 2))
    yield 'cell', 'json:link', ('a/link', 'a/b')
    yield 'cell', 'json:copy', ('a/b', 'a/copy')
    yield 'cell', 'json:copys', ((('a/b', 'x/1'), ('a/c', 'x/2')),)
    yield 'cell', 'json:set:prop', ('a/b', 'c/h', (5,))
    yield 'cell', 'json:del:prop', ('a/b', 'c/d')
    yield 'cell', 'json:pop:prop', ('a/b', 'c/e')
    yield 'cell', 'json:cmp:del:prop', ('a/b', 'c/f', 3)
    yield 'cell', 'json:cmp:del:prop', ('a/b', 'c/g', 3)
    yield 'cell', 'json:del', ('a/c',)
    yield 'cell', 'json:del', ('a/link',)
    yield 'cell', 'q:add', ('q', {'a': 1})
    yield 'cell', 'q:add', ('gone', {})
    yield 'cell', 'q:puts', ('q', ('a', 'b', {'c': 1}))
    yield 'cell', 'q:cull', ('q', 0)
    yield 'cell', 'q:del', ('gone',)
    yield 'cell', 'notif:add', ((info['root'], TICK, 'hehe', {'a': 1}),)
    yield 'cell', 'notif:add', ((info['root'], TICK + 1, 'hehe', {}),)
    yield 'cell', 'notif:del', (info['indx'] + 3,), {}, '?'


def cortex_events(info):
    root, view, layer = info['root'], info['view'], info['layer']
    meta = {'time': TICK, 'user': root}
    ldef = lambda *n: {'iden': guid('layer', *n), 'creator': root, 'created': TICK, 'lockmemory': False, 'logedits': True, 'readonly': False, 'name': str(n)}
    vdef = lambda n, layers, **kw: {'iden': guid('view', n), 'creator': root, 'created': TICK, 'updated': TICK, 'layers': layers, **kw}
    # ---- model
    yield 'cell', 'model:type:add', ('_t:one', 'str', {'lower': True}, {'doc': 'x'})
    yield 'cell', 'model:type:add', ('_t:gone', 'str', {}, {})
    yield 'cell', 'model:type:del', ('_t:gone',)
    for name in ('_f:one', '_f:gone'):
        yield 'cell', 'model:form:add', (name, 'str', {}, {'doc': 'x'})
    yield 'cell', 'model:form:del', ('_f:gone',)
    for name in ('_p:one', '_p:gone'):
        yield 'cell', 'model:prop:add', ('inet:fqdn', name, ('int', {}), {'doc': 'x'})
    yield 'cell', 'model:prop:del', ('inet:fqdn', '_p:gone')
    for name in ('_u:one', '_u:gone'):
        yield 'cell', 'model:univ:add', (name, ('int', {}), {'doc': 'x'})
    yield 'cell', 'model:univ:del', ('_u:gone',)
    for name in ('score', 'gone'):
        yield 'cell', 'model:tagprop:add', (name, ('int', {}), {'doc': 'x'})
    yield 'cell', 'model:tagprop:del', ('gone',)
    for name in ('_e:one', '_e:gone'):
        yield 'cell', 'model:edge:add', (('inet:fqdn', name, None), {'doc': 'x'})
    yield 'cell', 'model:edge:del', (('inet:fqdn', '_e:gone', None),)
    yield 'cell', 'model:lock:prop', ('inet:fqdn:_p:one', True)
    yield 'cell', 'model:lock:prop', ('inet:fqdn:_p:one', False)
    yield 'cell', 'model:lock:univ', ('._u:one', True)
    yield 'cell', 'model:lock:tagprop', ('score', True)
    yield 'cell', 'model:lock:tagprop', ('score', False)
    yield 'cell', 'model:depr:lock', ('ou:org:sic', True)
    for tag in ('cno.mal', 'gone'):
        yield 'cell', 'tag:model:set', (tag, 'regex', (None, '[a-z]+'))
        yield 'cell', 'tag:model:set', (tag, 'prune', 2)
    yield 'cell', 'tag:model:pop', ('cno.mal', 'prune')
    yield 'cell', 'tag:model:del', ('gone',)
    # ---- layers and views
    for numb in range(4):
        yield 'cell', 'layer:add', (ldef(numb),)
    yield 'cell', 'layer:clone', (layer, ldef('clone'))
    yield 'cell', 'view:add', (vdef(0, [ldef(0)['iden'], layer], name='v0', worldreadable=True),)
    yield 'cell', 'view:add', (vdef(1, [ldef(1)['iden']]),)
    yield 'cell', 'view:add', (vdef(2, [ldef(2)['iden']]),)
    yield 'cell', 'view:add', (vdef('fork', [ldef(3)['iden'], layer], parent=view),)
    fork = guid('view', 'fork')
    yield guid('view', 1), 'view:set', ('name', 'hehe')
    yield guid('view', 1), 'view:addlayer', (layer,), {'indx': None}
    yield guid('view', 1), 'view:setlayers', ([ldef(1)['iden'], ldef('clone')['iden']],)
    yield 'cell', 'layer:swap', (ldef('clone')['iden'], layer)
    yield 'cell', 'layer:del', (ldef('clone')['iden'],)
    for kind in ('push', 'pull'):
        for name in ('one', 'gone'):
            pdef = {'iden': guid(kind, name), 'url': 'tcp://127.0.0.1:1/', 'user': root, 'time': TICK, 'soffs': 0, 'offs': 0, 'queue:size': 1, 'chunk:size': 1}
            yield 'cell', f'layer:{kind}:add', (ldef(2)['iden'], pdef)
        yield 'cell', f'layer:{kind}:del', (ldef(2)['iden'], guid(kind, 'gone'))
        yield 'cell', f'layer:{kind}:del', (ldef(2)['iden'], guid(kind, 'one'))
    yield layer, 'layer:set', ('name', 'hehe')
    yield ldef(2)['iden'], 'layer:set:modelvers', ((0, 2, 30),)
    ndef = ('inet:fqdn', 'vertex.link')
    buid, n2 = s_common.buid(ndef), s_common.buid(('inet:fqdn', 'link'))
    adds = ((0, ('vertex.link', 17), ()), (2, ('zone', 'vertex.link', None, 17), ()), (2, ('._u:one', 3, None, 9), ()), (2, ('_p:one', 4, None, 9), ()),
            (4, ('foo.bar', (TICK, TICK + 1), None), ()), (4, ('gone', (None, None), None), ()), (6, ('foo.bar', 'score', 4, None, 9), ()),
            (6, ('gone', 'score', 4, None, 9), ()), (8, ('note', {'a': 1}, None), ()), (8, ('gone', 1, None), ()),
            (10, ('_e:one', s_common.ehex(n2)), ()), (10, ('_e:two', s_common.ehex(n2)), ()))
    dels = ((3, ('zone', None, 17), ()), (7, ('gone', 'score', None, 9), ()), (5, ('gone', None), ()), (9, ('gone', None), ()), (11, ('_e:two', s_common.ehex(n2)), ()))
    for iden in (layer, ldef(3)['iden'], ldef(0)['iden']):
        yield iden, 'edits', (((buid, 'inet:fqdn', adds),), meta)
        yield iden, 'edits', (((buid, 'inet:fqdn', dels),), meta)
    yield ldef(0)['iden'], 'edits', (((buid, 'inet:fqdn', ((1, (None, 17), ()),)),), meta)
    tdef = lambda n: {'iden': guid('trig', n), 'cond': 'node:add', 'form': 'inet:ipv6', 'storm': '[ +#x ]', 'user': root, 'creator': root, 'view': view,
                      'enabled': True, 'async': False, 'doc': '', 'name': '', 'created': TICK}
    for name in ('one', 'gone'):
        yield view, 'trigger:add', (tdef(name),)
    yield view, 'trigger:set', (guid('trig', 'one'), 'name', 'hehe')
    yield view, 'trigger:del', (guid('trig', 'gone'),)
    yield view, 'trig:q:add', ({'buid': buid, 'trig': guid('trig', 'one'), 'vars': None},)
    yield view, 'trig:q:del', (info['indx'],)
    # ---- merges
    yield view, 'view:set', ('quorum', {'count': 2, 'roles': (info['all'],)})
    yield fork, 'merge:set', ({'iden': guid('merge'), 'creator': root, 'created': TICK, 'comment': 'x'},)
    yield fork, 'merge:set:comment', (TICK + 1, 'y')
    vote = {'user': guid('voter'), 'approved': True, 'created': TICK, 'offset': 1}
    yield 'auth:auth', 'user:add', (vote['user'], 'voter')
    yield fork, 'merge:vote:set', (vote,)
    yield fork, 'merge:vote:set:comment', (TICK + 2, vote['user'], 'z')
    yield fork, 'merge:vote:del', (vote['user'], TICK + 3)
    yield fork, 'merge:del', ()
    yield view, 'view:set', ('quorum', None)
    yield fork, 'view:forkparent', (ldef('fp'), vdef('fp', [ldef('fp')['iden']]))
    yield fork, 'view:forkchild', (ldef('fc'), vdef('fc', [ldef('fc')['iden']]))
    yield guid('view', 'fc'), 'view:detach', ()
    yield 'cell', 'view:delwithlayer', (guid('view', 'fc'), ldef('fc')['iden']), {'newparent': None}
    yield 'cell', 'view:del', (guid('view', 2),)
    yield ldef(2)['iden'], 'layer:truncate', ()
    # ---- Storm
    for name in ('one', 'gone'):
        yield 'cell', 'cmd:set', ({'name': f'cmd.{name}', 'storm': '$x=1', 'descr': 'x'},)
        yield 'cell', 'pkg:add', ({'name': f'pkg-{name}', 'version': '0.0.1', 'build': {'time': TICK}, 'modules': [], 'commands': []},)
        yield 'cell', 'svc:add', ({'iden': guid('svc', name), 'name': name, 'url': 'tcp://127.0.0.1:1/'},)
        yield 'cell', 'stormvar:set', (name, (1, {'a': 2}))
        yield 'cell', 'storm:pkg:var:set', ('pkg-one', name, 1)
        perms = {'users': {root: 3}, 'roles': {}}
        yield 'cell', 'storm:macro:add', ({'name': name, 'iden': guid('macro', name), 'storm': 'inet:fqdn', 'desc': '', 'created': TICK, 'updated': TICK,
                                           'creator': root, 'user': root, 'permissions': {**perms, 'default': 0}},)
        yield 'cell', 'storm:graph:add', ({'iden': guid('graph', name), 'name': name, 'scope': 'user', 'creator': root, 'created': TICK, 'updated': TICK,
                                           'permissions': {**perms, 'default': 1}, 'filters': [], 'pivots': []},)
        yield 'cell', 'storm:dmon:add', ({'iden': guid('dmon', name), 'name': name, 'user': root, 'storm': '$x=1', 'enabled': False, 'stormopts': {'view': view}},)
        adef = {'iden': guid('api', name), 'path': f'a/{name}', 'view': view, 'runas': 'owner', 'owner': root, 'creator': root, 'created': TICK, 'updated': TICK,
                'methods': {'get': '$x=1'}, 'authenticated': True, 'name': name, 'desc': '', 'perms': [], 'readonly': False, 'vars': {}, 'pool': False}
        yield 'cell', 'http:api:add', (adef,)
        yield 'cell', 'queue:add', (name, {'user': root, 'time': TICK})
        yield 'cell', 'storm:pkg:queue:add', ('pkg-one', name, {'time': TICK})
        cdef = {'iden': guid('cron', name), 'creator': root, 'user': root, 'storm': '$x=1', 'reqs': {'hour': 3}, 'incunit': 'day', 'incvals': 1, 'created': TICK,
                'view': view, 'pool': False, 'doc': '', 'name': '', 'enabled': False, 'loglevel': 'WARNING'}
        yield 'cell', 'cron:add', (cdef,)
        yield 'cell', 'vault:add', ({'iden': guid('vault', name), 'name': name, 'type': 't', 'scope': None, 'owner': root, 'configs': {'a': 1}, 'secrets': {'b': 2},
                                     'permissions': {**perms, 'default': 0}},)
        yield 'cell', 'oauth:provider:add', ({'iden': guid('oauth', name), 'name': name, 'flow_type': 'authorization_code', 'auth_scheme': 'basic', 'client_id': 'x',
                                              'client_secret': 's', 'scope': 'y', 'auth_uri': 'https://a', 'token_uri': 'https://b', 'redirect_uri': 'https://c',
                                              'extensions': {}, 'extra_auth_params': {}, 'ssl_verify': True},)
    yield 'cell', 'cmd:del', ('cmd.gone',)
    yield 'cell', 'pkg:del', ('pkg-gone',)
    yield 'cell', 'svc:del', (guid('svc', 'gone'),)
    yield 'cell', 'stormvar:pop', ('gone',), {'default': None}
    yield 'cell', 'storm:pkg:var:pop', ('pkg-one', 'gone')
    yield 'cell', 'storm:macro:mod', ('one', {'desc': 'hehe', 'updated': TICK + 1})
    yield 'cell', 'storm:macro:set:perm', ('one', 'users', root, 2)
    yield 'cell', 'storm:macro:del', ('gone',)
    yield 'cell', 'storm:graph:mod', (guid('graph', 'one'), {'name': 'other', 'updated': TICK + 1})
    yield 'cell', 'storm:graph:set:perm', (guid('graph', 'one'), 'users', root, 2, TICK + 2)
    yield 'cell', 'storm:graph:del', (guid('graph', 'gone'),)
    yield 'cell', 'storm:dmon:enable', (guid('dmon', 'one'),)
    yield 'cell', 'storm:dmon:disable', (guid('dmon', 'one'),)
    yield 'cell', 'storm:dmon:bump', (guid('dmon', 'one'),)
    yield 'cell', 'storm:dmon:del', (guid('dmon', 'gone'),)
    yield 'cell', 'storm:pool:set', ('aha://pool...', {'timeout:sync': 1, 'timeout:connection': 1})
    yield 'cell', 'storm:pool:del', ()
    yield 'cell', 'http:api:indx', (guid('api', 'one'), 1)
    yield 'cell', 'http:api:del', (guid('api', 'gone'),)
    for queue, args in (('queue', ()), ('storm:pkg:queue', ('pkg-one',))):
        yield 'cell', f'{queue}:puts', (*args, 'one', ('a', {'b': 1}, 'c', 'd'))
        yield 'cell', f'{queue}:cull', (*args, 'one', 0)
        yield 'cell', f'{queue}:pop', (*args, 'one', 2)
        yield 'cell', f'{queue}:del', (*args, 'gone')
    yield 'cell', 'cron:mod', (guid('cron', 'one'),), {'query': '$x=2'}
    yield 'cell', 'cron:move', (guid('cron', 'one'), guid('view', 0))
    yield 'cell', 'cron:edit', (guid('cron', 'one'), 'name', 'hehe')
    yield 'cell', 'cron:edits', (guid('cron', 'one'), {'isrunning': False, 'lastresult': 'x'})
    yield 'cell', 'cron:enable', (guid('cron', 'one'),)
    yield 'cell', 'cron:disable', (guid('cron', 'one'),)
    yield 'cell', 'cron:task:kill', (guid('cron', 'one'),)
    yield 'cell', 'cron:del', (guid('cron', 'gone'),)
    yield 'cell', 'vault:set', (guid('vault', 'one'), 'name', 'other')
    yield 'cell', 'vault:data:set', (guid('vault', 'one'), 'configs', 'c', 3, False)
    yield 'cell', 'vault:data:replace', (guid('vault', 'one'), 'secrets', {'z': 1})
    yield 'cell', 'vault:del', (guid('vault', 'gone'),)
    data = {'access_token': 'x', 'expires_at': TICK}
    for user in (root, vote['user']):
        yield 'cell', 'oauth:client:data:set', (guid('oauth', 'one'), user, data)
    yield 'cell', 'oauth:client:data:clear', (guid('oauth', 'one'), vote['user'])
    yield 'cell', 'oauth:provider:del', (guid('oauth', 'gone'),)


# Their handlers take the time from the clock of the machine they run on, as in the original: the rows differ by that.
CLOCKED = {'http:api:mod': (lambda info: ('cell', 'http:api:mod', (guid('api', 'one'), 'name', 'hehe')))}

SERVICES = {'aha': aha_events, 'axon': axon_events, 'jsonstor': jsonstor_events, 'cortex': cortex_events}


def names_of_original():
    names = set()
    base = os.path.dirname(synapse.__file__)
    for path in glob.glob(f'{base}/*.py') + glob.glob(f'{base}/lib/**/*.py', recursive=True):
        with open(path) as fd:
            names.update(re.findall(r"onPush(?:Auto)?\('([^']+)'", fd.read()))
    return names


def databases(dirn):
    for path in glob.glob(f'{dirn}/**/data.mdb', recursive=True):
        if os.path.relpath(path, dirn).split('/')[0] not in ('backups', 'tmp'):
            yield os.path.dirname(path)


def rows(path):
    '''Everything in a database but what is about the copy itself.'''
    found = {}
    with lmdb.open(path, max_dbs=256, readonly=True, lock=False) as env:
        with env.begin() as xact:
            for name, _ in xact.cursor():
                if name == b'myelin:applied' or (name == b'nexs:indx' and path.endswith('nexus.lmdb')):
                    continue
                dbi = env.open_db(name, txn=xact, create=False)
                found[name] = [(lkey, without_clock(lkey, lval)) for lkey, lval in xact.cursor(db=dbi)]
                if name == b'myelin:sum':
                    # What was there before the changes is counted by each member when somebody asks.
                    found[name] = [(lkey, lval[:8]) for lkey, lval in found[name]]
    return found


def without_clock(lkey, lval):
    # When a job runs next is worked out by each member by its own clock.
    if not lkey.startswith(b'agenda:appt:'):
        return lval
    return s_msgpack.en({name: valu for name, valu in s_msgpack.un(lval).items() if name != 'nexttime'})


def compare(lead, mirror):
    paths = {os.path.relpath(path, lead.dirn): path for path in databases(lead.dirn)}
    other = {os.path.relpath(path, mirror.dirn): path for path in databases(mirror.dirn)}
    assert paths.keys() == other.keys(), paths.keys() ^ other.keys()
    count, differ = 0, []
    for rel, path in paths.items():
        ours, theirs = rows(path), rows(other[rel])
        for name in ours.keys() | theirs.keys():
            one, two = ours.get(name, []), theirs.get(name, [])
            count += len(one)
            if one != two:
                differ.append((rel, name, [row for row in one if row not in two][:3], [row for row in two if row not in one][:3]))
    return count, differ


def log_entries(svc):
    for path in sorted(glob.glob(f'{svc.dirn}/slabs/nexuslog/*.lmdb')):
        for offs, byts in rows(path).get(b'nexuslog', []):
            yield s_common.int64un(offs), byts


async def one_service(kind, events, svcs, base):
    lead = Svc(kind, os.path.join(base, f'{kind}.lead'), opts.binary)
    with open(os.path.join(lead.dirn, 'cell.yaml'), 'w') as fd:
        fd.write('nexslog:en: true\n')
        if kind == 'aha':
            fd.write(f'aha:network: loop.vertex\ndmon:listen: tcp://127.0.0.1:{lead.port}/\n')
    svcs.append(lead)
    await lead.start()
    await lead.call('addUser', 'mirror', passwd='secret')
    users = await lead.call('getUserDefs')
    await lead.call('setUserAdmin', [user['iden'] for user in users if user['name'] == 'mirror'][0], True)
    roles = await lead.call('getRoleDefs')
    info = {'root': [user['iden'] for user in users if user['name'] == 'root'][0], 'all': roles[0]['iden']}
    if kind == 'cortex':
        info['view'], info['layer'] = await lead.call('callStorm', 'return(($lib.view.get().iden, $lib.layer.get().iden))')
    dirn = os.path.join(base, f'{kind}.mirror')
    await copy_of(lead, dirn, f'tcp://mirror:secret@127.0.0.1:{lead.port}/')
    if kind == 'aha':
        with open(os.path.join(dirn, 'cell.mods.yaml'), 'w') as fd:
            fd.write(f'dmon:listen: tcp://127.0.0.1:{free_port()}/\n')
    mirror = Svc(kind, dirn, opts.binary, env=TWICE, port=0)
    svcs.append(mirror)
    await mirror.start()
    info['indx'] = await lead.call('getNexsIndx')
    iden = await lead.call('getCellIden')
    made, refused = set(), []

    async def issue(of, name, args, kwargs=None, mark=''):
        made.add(name)
        try:
            await lead.call('issue', iden if of == 'cell' else of, name, args, kwargs or {})
        except Exception as e:
            if mark not in ('!', '?'):
                refused.append((name, args, repr(e)))
        else:
            assert mark != '!', f'{name} was not refused'

    for func in (events, cell_events, last_events):
        if func is last_events:
            entries = list(log_entries(lead))
        info['indx'] = await lead.call('getNexsIndx')
        for item in func(info):
            await issue(*item)
    for name, args, error in refused:
        print(f'{kind}: {name} {args} is refused: {error[:300]}')
    await same(lead, mirror)
    mirror.stop()
    lead.stop()
    count, differ = compare(lead, mirror)
    for rel, name, one, two in differ:
        print(f'{kind}: {rel} {name} differs:\n    leader {one}\n    mirror {two}')
    assert not refused and not differ
    assert list(log_entries(lead)) == list(log_entries(mirror))
    for offs, byts in entries:
        assert s_msgpack.en(s_msgpack.un(byts)) == byts, (offs, byts)
    certs = [path[len(lead.dirn):] for path in glob.glob(f'{lead.dirn}/certs/*/some.*')]
    assert len(certs) == (6 if kind == 'aha' else 0), certs
    for path in certs:
        assert open(lead.dirn + path).read() == open(mirror.dirn + path).read(), path
    print(f'ok {kind}: {len(made)} events, {count} rows equal, {len(entries)} entries have the bytes of the original')
    return made


async def main(base):
    made = set(CLOCKED)
    for kind, events in SERVICES.items():
        if not opts.only or kind in opts.only:
            async with cluster() as svcs:
                made |= await one_service(kind, events, svcs, base)
    if not opts.only:
        missing = names_of_original() - made
        assert not missing, f'events of the original that are not tried: {sorted(missing)}'
        print(f'ok {len(made)} events, all that the original has')


async def run():
    with tempfile.TemporaryDirectory() as base:
        await main(base)


asyncio.run(run())
