'''
The figures of docs/operations.md about mirrors and backups, measured: how fast a mirror catches up, against the original's;
what waiting for a mirror costs a write; a live backup beside writes and a lift.

Usage: operations.py --binary MYELIN [--nodes 1000000] [--edits 20000] [catchup] [confirm] [backup]
'''
import os
import sys
import time
import shutil
import asyncio
import argparse
import statistics
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from common import Svc, cluster, copy_of, same  # noqa: E402

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
pars.add_argument('--nodes', type=int, default=1000000)
pars.add_argument('--edits', type=int, default=20000)
pars.add_argument('only', nargs='*')
opts = pars.parse_args()


def conf(dirn, text):
    with open(os.path.join(dirn, 'cell.yaml'), 'w') as fd:
        fd.write('auth:passwd: secret\n' + text)


def cpu(svc):
    with open(f'/proc/{svc.proc.pid}/stat') as fd:
        part = fd.read().rsplit(')', 1)[1].split()
    return (int(part[11]) + int(part[12])) / os.sysconf('SC_CLK_TCK')


async def feed(svc, first, count, batch):
    '''Nodes in batches of one event each.'''
    async with await svc.open() as prox:
        for numb in range(first, first + count, batch):
            nodes = [(('inet:ipv4', i), {'props': {'asn': i % 65536}}) for i in range(numb, min(numb + batch, first + count))]
            await prox.addFeedData('syn.nodes', nodes)


async def catchup(base):
    rates = {}
    for name, lead_bin, mirror_bin in (('ours', opts.binary, opts.binary), ('original', opts.binary, None)):
        async with cluster() as svcs:
            lead = Svc('cortex', os.path.join(base, f'{name}.lead'), lead_bin)
            conf(lead.dirn, 'nexslog:en: true\n')
            svcs.append(lead)
            await lead.start()
            dirn = os.path.join(base, f'{name}.mirror')
            await copy_of(lead, dirn, lead.url)
            # One node an event, as queries make them.
            count = opts.edits if mirror_bin else max(opts.edits // 10, 1000)
            async with await lead.open() as prox:
                for numb in range(0, count, 1000):
                    text = 'for $i in $lib.range($stop, start=$start) { [ inet:ipv4=$i :asn=$i ] } | spin'
                    await prox.callStorm(text, opts={'vars': {'start': numb, 'stop': numb + 1000}})
            start = await lead.call('getNexsIndx')
            mirror = Svc('cortex', dirn, mirror_bin)
            svcs.append(mirror)
            # From the moment it answers: starting an interpreter is no catching up.
            await mirror.start()
            have = await mirror.call('getNexsIndx')
            used, begun = cpu(mirror), time.monotonic()
            assert await mirror.call('waitNexsOffs', start - 1, timeout=600)
            took, used = time.monotonic() - begun, cpu(mirror) - used
            rates[name] = (start - have) / max(took, 0.001), (start - have) / max(used, 0.01)
            print(f'catch-up, {name}: {start - have} changes in {took:.2f} s: {rates[name][0]:.0f}/s, {rates[name][1]:.0f} a CPU second')
    print(f'catch-up: {rates["ours"][0] / rates["original"][0]:.1f} times the original, {rates["ours"][1] / rates["original"][1]:.1f} a CPU second')


async def confirm(base):
    async with cluster() as svcs:
        lead = Svc('jsonstor', os.path.join(base, 'confirm.lead'), opts.binary)
        conf(lead.dirn, 'nexslog:en: true\n')
        svcs.append(lead)
        await lead.start()
        await lead.call('setPathObj', 'a', 0)
        dirn = os.path.join(base, 'confirm.mirror')
        await copy_of(lead, dirn, lead.url)
        mirror = Svc('jsonstor', dirn, opts.binary)
        svcs.append(mirror)
        await mirror.start()
        await same(lead, mirror)

        async def waits(meth, *args, count=1500):
            took = []
            async with await lead.open() as prox:
                for numb in range(count):
                    begun = time.monotonic()
                    await getattr(prox, meth)(*args)
                    took.append((time.monotonic() - begun) * 1000)
            return statistics.median(took)

        async def rate(count=400, writers=32):
            async def writer(numb):
                async with await lead.open() as prox:
                    for i in range(count):
                        await prox.setPathObj(f'rate/{numb}', i)
            begun = time.monotonic()
            await asyncio.gather(*[writer(numb) for numb in range(writers)])
            return count * writers / (time.monotonic() - begun)

        trip = await waits('getCellIden')
        for numb in (0, 1):
            lead.stop()
            conf(lead.dirn, f'nexslog:en: true\nnexus:min_mirrors: {numb}\n')
            await lead.start()
            await lead.call('setPathObj', 'a', 1)
            await same(lead, mirror)
            write = await waits('setPathObj', 'a', 1)
            print(f'nexus:min_mirrors {numb}: a write {write:.2f} ms (a call that does nothing {trip:.2f} ms), {await rate():.0f} writes/s by 32 clients')


async def backup(base):
    async with cluster() as svcs:
        svc = Svc('cortex', os.path.join(base, 'backup.cortex'), opts.binary)
        conf(svc.dirn, '')
        svcs.append(svc)
        await svc.start()
        begun = time.monotonic()
        await feed(svc, 0, opts.nodes, 5000)
        print(f'{opts.nodes} nodes made in {time.monotonic() - begun:.0f} s')

        async def lift():
            async with await svc.open() as prox:
                begun = time.monotonic()
                await prox.callStorm('inet:ipv4:asn>=0 | limit 300000 | spin')
                return time.monotonic() - begun

        alone = min([await lift() for _ in range(3)])
        done = asyncio.Event()
        slowest = 0

        async def writes():
            nonlocal slowest
            async with await svc.open() as prox:
                numb = 0
                while not done.is_set():
                    begun = time.monotonic()
                    await prox.callStorm('[ inet:asn=$n ] | spin', opts={'vars': {'n': numb}})
                    slowest = max(slowest, time.monotonic() - begun)
                    numb += 1
                    await asyncio.sleep(0.01)

        async def run(tasks):
            begun = time.monotonic()
            name = await svc.call('runBackup')
            took = time.monotonic() - begun
            return name, took

        name, took = await run(())
        path = os.path.join(svc.dirn, 'backups', name)
        size = sum(os.stat(os.path.join(root, one)).st_blocks * 512 for root, _, names in os.walk(path) for one in names)
        begun = time.monotonic()
        shutil.copytree(path, os.path.join(base, 'plain'))
        os.sync()
        plain = time.monotonic() - begun
        shutil.rmtree(os.path.join(base, 'plain'))
        await svc.call('delBackup', name)
        print(f'backup: {size / 1e6:.0f} MB in {took:.2f} s, {size / took / 1e6:.0f} MB/s; copying its files {size / plain / 1e6:.0f} MB/s')
        task = asyncio.create_task(writes())
        beside = []
        for _ in range(3):
            back = asyncio.create_task(run(()))
            await asyncio.sleep(0.05)
            beside.append(await lift())
            name, took = await back
            await svc.call('delBackup', name)
        done.set()
        await task
        pauses = [int(word.split('=')[1]) for line in open(svc.log) if 'has its snapshots' in line for word in line.split() if word.startswith('pause_us')]
        print(f'a lift of 300000 nodes: {alone:.2f} s alone, {min(beside):.2f} s beside a backup and writes ({(min(beside) / alone - 1) * 100:.0f} % more)')
        print(f'write pause {max(pauses) / 1000:.1f} ms, slowest write beside it {slowest * 1000:.0f} ms')


async def run():
    with tempfile.TemporaryDirectory() as base:
        for func in (catchup, confirm, backup):
            if not opts.only or func.__name__ in opts.only:
                await func(base)


asyncio.run(run())
