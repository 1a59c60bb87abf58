'''
Real data, as an analyst loads it: the tasks of the shared folder against a quickstart, and actors' indicator lists through
Storm and through both feed tools. Skipped where there is no shared folder beside the checkout (MYELIN_SHARED names another).

tasks.json beside this script records which tasks are answered as the original answers them: `--write` makes it, every whole
run checks it, `cargo xtask coverage` names the others.

Usage: data.py --binary MYELIN [--only TASK,TASK] [--lists NUMBER] [--write]
'''
import os
import sys
import json
import time
import shutil
import signal
import asyncio
import argparse
import tempfile
import contextlib
import subprocess
import importlib.util

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.environ.get('MYELIN_SHARED') or os.path.normpath(os.path.join(HERE, '..', '..', '..', 'shared'))
DATA = os.path.join(SHARED, 'data')

RECORD = os.path.join(HERE, 'tasks.json')

LOAD = '''
[ media:news=(maltrail, $tag) :title=`Indicators of {$tag}` ] $news=$node
for $line in $lines {
    $line=$line.strip()
    if ($line.size() = 0 or $line.startswith("#")) { continue }
    ($ok, $ip)=$lib.trycast(inet:ipv4, $line)
    if $ok { [ inet:ipv4=$ip ] }
    elif ($line ~= "/") { [ inet:url?=`http://{$line}` ] }
    elif ($line ~= ":[0-9]+$") { [ inet:server?=`tcp://{$line}` ] }
    else { [ inet:fqdn?=$line ] }
    [ +#$tag <(refs)+ { yield $news } ]
}
| spin
'''

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--only')
pars.add_argument('--lists', type=int, help="how many of the actors' lists, the shortest first; all of them by default")
pars.add_argument('--write', action='store_true', help='record which tasks are answered')
opts = pars.parse_args()


def tasks_module():
    spec = importlib.util.spec_from_file_location('run_tasks', os.path.join(DATA, 'run_tasks.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.asynccontextmanager
async def quickstart(base):
    import synapse.telepath as s_telepath
    with open(os.path.join(base, 'log'), 'ab') as log:
        proc = subprocess.Popen([opts.binary, 'quickstart', os.path.join(base, 'data'), '--no-prompt'], stdout=log, stderr=log)
    url = f'cell://{base}/data/cortex'
    try:
        for _ in range(900):
            assert proc.poll() is None, open(os.path.join(base, 'log')).read()[-2000:]
            with contextlib.suppress(Exception):
                async with await s_telepath.openurl(url) as prox:
                    await prox.getCellInfo()
                    break
            await asyncio.sleep(0.1)
        yield url
    finally:
        proc.send_signal(signal.SIGTERM)
        assert proc.wait(60) == 0


def kinds(messages):
    '''Errors by name, warnings by number.'''
    found = {text: num for text, num in messages.items() if text.startswith('err: ')}
    found['warnings'] = sum(num for text, num in messages.items() if text.startswith('warn: '))
    return found


async def run_tasks(prox):
    module = tasks_module()
    with open(os.path.join(DATA, 'tasks.json')) as fd:
        tasks = json.load(fd)
    with open(os.path.join(DATA, 'tasks.expected.json')) as fd:
        want = json.load(fd)
    failed, answered = [], []
    for task in tasks:
        iden = task['id']
        if opts.only and iden not in opts.only.split(','):
            continue
        got = module.plain(await module.run_task(prox, DATA, task))
        wrong = {name: (got['checks'].get(name), valu) for name, valu in want[iden]['checks'].items()
                 if got['checks'].get(name) != valu}
        # Warnings are worded by each; how many there are, and which errors, is the same.
        mine, theirs = kinds(got['messages']), kinds(want[iden]['messages'])
        if mine != theirs:
            wrong['messages'] = (mine, theirs)
        print(f'   {iden}: {got["secs"]} s, {f"{len(wrong)} answers differ" if wrong else "ok"}', flush=True)
        if not wrong:
            answered.append(iden)
        for name, (mine, theirs) in wrong.items():
            failed.append(f'{iden} {name}: got {json.dumps(mine)[:300]}, expected {json.dumps(theirs)[:300]}')
    if opts.only:
        return failed
    if opts.write:
        with open(RECORD, 'w') as fd:
            json.dump({'answered': answered}, fd, indent=1)
            fd.write('\n')
        return failed
    with open(RECORD) as fd:
        recorded = json.load(fd)['answered']
    if answered != recorded:
        failed.append(f'the record says that {recorded} are answered: run with --write')
    return failed


async def tally(prox, view, tags):
    '''What a view holds of each list: nodes, and edges from the report to them.'''
    found = {}
    for tag in tags:
        opts = {'view': view, 'vars': {'tag': tag}}
        found[tag] = await prox.count('#$tag', opts=opts)
        found[f'{tag} edges'] = await prox.count('media:news=(maltrail, $tag) -(refs)> * +#$tag', opts=opts)
    return found


async def lists(prox, url, base):
    import synapse.lib.msgpack as s_msgpack
    folder = os.path.join(DATA, 'maltrail')
    paths = sorted((os.path.join(folder, name) for name in os.listdir(folder) if name.endswith('.txt')), key=os.path.getsize)
    fresh = "$layr=$lib.layer.add() $view=$lib.view.add(($layr.iden,)) return($view.iden)"
    loaded = await prox.callStorm(fresh)
    tags = []
    for path in paths[:opts.lists]:
        with open(path) as fd:
            lines = fd.read().splitlines()
        tag = 'mt.' + os.path.basename(path)[:-4].replace('-', '_')
        tags.append(tag)
        async for mesg in prox.storm(LOAD, opts={'view': loaded, 'vars': {'tag': tag, 'lines': lines}}):
            assert mesg[0] not in ('err', 'warn'), mesg
    want = await tally(prox, loaded, tags)
    assert all(want[f'{tag} edges'] > 100 for tag in tags) and tags, want

    # Out as packed nodes, the reports first: their edges lead to nodes that come later.
    path = os.path.join(base, 'lists.nodes')
    count = 0
    with open(path, 'wb') as fd:
        async for pode in prox.exportStorm('media:news #mt', opts={'view': loaded}):
            fd.write(s_msgpack.en(pode))
            count += 1
    print(f'   {len(tags)} lists: {count} nodes, {want}'[:300])

    official = [sys.executable, '-m', 'synapse.tools.cortex.feed']
    ours = [opts.binary, 'tool', 'feed']
    for argv in (official, ours):
        view = await prox.callStorm(fresh)
        done = subprocess.run([*argv, '--cortex', url, '--view', view, path], capture_output=True, text=True)
        assert done.returncode == 0 and 'Done consuming from [lists.nodes]' in done.stdout, done.stdout + done.stderr
        got = await tally(prox, view, tags)
        assert got == want, f'{argv}: {got}, not {want}'

    # By way of the axon, and over the older call.
    view = await prox.callStorm(fresh)
    with open(path, 'rb') as fd:
        byts = fd.read()
    async with await prox.getAxonUpload() as upfd:
        await upfd.write(byts)
        _, sha256 = await upfd.save()
    assert await prox.feedFromAxon(sha256.hex(), opts={'view': view}) == count
    assert await tally(prox, view, tags) == want

    nodes = [node async for node in prox.addNodes([(('inet:fqdn', 'Feed.Example.com'), {'tags': {'a.b': (None, None)}})])]
    assert nodes[0][0] == ('inet:fqdn', 'feed.example.com') and 'a.b' in nodes[0][1]['tags'], nodes
    node = await prox.addNode('inet:ipv4', '1.2.3.4', props={'asn': 10})
    assert node[0] == ('inet:ipv4', 0x01020304) and node[1]['props']['asn'] == 10, node

    # A feed of mixed quality: what fits is stored.
    items = [
        (('inet:fqdn', 'bad name'), {}), (('newp:newp', 'x'), {}), 'newp',
        (('inet:ipv4', 16909060), {'props': {'asn': 'newp', 'loc': 'us'}, 'tags': {'ok': (None, None)},
                                   'edges': [('refs', 'newp'), ('refs', ('inet:fqdn', 'edge.com'))]}),
    ]
    view = await prox.callStorm(fresh)
    await prox.addFeedData('syn.nodes', items, viewiden=view)
    got = await prox.callStorm('inet:ipv4#ok -(refs)> inet:fqdn return($node.repr())', opts={'view': view})
    assert got == 'edge.com', got
    assert await prox.count('inet:ipv4:loc=us -:asn', opts={'view': view}) == 1


async def main():
    if not os.path.isdir(DATA):
        print(f'data: skipped, no shared folder here ({DATA})')
        return 0
    import synapse.telepath as s_telepath
    base = tempfile.mkdtemp(prefix='data')
    failed = []
    async with quickstart(base) as url:
        async with await s_telepath.openurl(url) as prox:
            began = time.monotonic()
            failed += await run_tasks(prox)
            print(f'tasks: {time.monotonic() - began:.1f} s', flush=True)
            if not opts.only and opts.lists != 0:
                began = time.monotonic()
                await lists(prox, url, base)
                print(f'lists: {time.monotonic() - began:.1f} s', flush=True)
    for text in failed:
        print(f'FAILED {text}')
    if not failed:
        shutil.rmtree(base)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
