'''
The Storm shell at a terminal: keys go in, the screen comes out, the Cortex behind it is a real one.

The other side of the pseudo terminal answers what the line editor asks of it (where the cursor is) and keeps what was written,
without escape sequences.

Usage: shell.py --binary MYELIN
'''
import os
import re
import pty
import sys
import time
import fcntl
import shutil
import struct
import select
import signal
import asyncio
import termios
import argparse
import tempfile
import subprocess

from common import Svc, cluster

pars = argparse.ArgumentParser(description=__doc__)
pars.add_argument('--binary', required=True)
opts = pars.parse_args()
opts.binary = os.path.abspath(opts.binary)

CTRL_C, CTRL_D, TAB, ENTER, UP, ESC = b'\x03', b'\x04', b'\t', b'\r', b'\x1b[A', b'\x1b'
ESCAPES = re.compile(rb'\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[78]|\x1b\][^\x07]*\x07|\x1b[=>()][B0]?')


class Shell:
    '''One shell at one terminal.'''

    def __init__(self, argv, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({'HOME': home, 'TERM': 'xterm-256color', 'SYN_DIR': os.path.join(home, '.syn')})
            os.execv(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 160, 0, 0))
        self.raw = b''
        self.code = None

    def read(self, secs):
        if not select.select([self.fd], [], [], secs)[0]:
            return False
        try:
            byts = os.read(self.fd, 65536)
        except OSError:
            byts = b''
        if not byts:
            raise EOFError
        # The editor asks where the cursor is, and waits for the answer.
        for _ in range(byts.count(b'\x1b[6n')):
            os.write(self.fd, b'\x1b[1;1R')
        self.raw += byts
        return True

    def text(self):
        return ESCAPES.sub(b'', self.raw).decode('utf8', 'replace')

    def settle(self):
        '''Reads until nothing comes.'''
        while self.read(0.4):
            pass
        return self.text()

    def forget(self):
        self.settle()
        self.raw = b''

    def keys(self, *keys):
        for key in keys:
            os.write(self.fd, key.encode() if isinstance(key, str) else key)

    def expect(self, text, secs=30):
        '''Waits until a text was written, and forgets what came before it.'''
        until = time.monotonic() + secs
        while text not in self.text():
            left = until - time.monotonic()
            try:
                if left > 0 and (self.read(min(left, 0.5)) or time.monotonic() < until):
                    continue
            except EOFError:
                pass
            raise AssertionError(f'{text!r} was not written, but {self.text()[-1500:]!r}')
        said, self.raw = self.text(), b''
        return said

    def ask(self, text, end='complete.'):
        self.keys(text, ENTER)
        said = self.expect(end)
        self.prompt()
        return said

    def prompt(self, secs=30):
        '''Waits until an empty prompt is the last thing on the screen.'''
        until = time.monotonic() + secs
        while not self.settle().endswith('storm> '):
            assert time.monotonic() < until, f'no prompt, but {self.text()[-1500:]!r}'
        self.raw = b''

    def end(self):
        self.keys(CTRL_D)
        try:
            while True:
                self.read(10)
        except EOFError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


async def lines(svc, home):
    '''What is typed, edited, remembered, completed and shown.'''
    shell = Shell([opts.binary, 'storm', f'cell://{svc.dirn}'], home)
    shell.prompt()
    assert 'inet:ipv4=1.2.3.4' in shell.ask('[ inet:ipv4=1.2.3.4 :asn=10 +#foo.bar ]')
    # Editing: the cursor goes to the begin and back.
    assert 'complete. 1 nodes' in shell.ask(b'et:ipv4=1.2.3.4\x01in\x05 :asn=10'.replace(b' :asn=10', b' +:asn=10'))
    # History.
    shell.keys(UP, UP, ENTER)
    assert ':asn = 10' in shell.expect('complete. 1 nodes')
    shell.prompt()
    # Text is coloured as it is typed: a form's, a tag's and a command's colour differ.
    shell.forget()
    shell.keys('inet:ipv4 +#foo | count ')
    shell.settle()
    assert re.search(rb'\x1b\[[0-9;]*m', shell.raw), shell.raw
    shell.keys(CTRL_C)
    shell.prompt()

    # Enter goes on while something is open; Ctrl-C drops it.
    shell.keys('for $i in (1, 2) {', ENTER)
    shell.expect('| ')
    shell.keys('$lib.print(`num {$i}`)', ENTER)
    shell.keys('}', ENTER)
    said = shell.expect('complete.')
    assert 'num 1' in said and 'num 2' in said, said
    shell.prompt()
    shell.keys('[ inet:fqdn=', ENTER)
    shell.expect('| ')
    shell.keys(CTRL_C)
    shell.prompt()
    # A paste of several lines is one query.
    shell.keys(b'\x1b[200~$x = 3\n$lib.print(`is {$x}`)\x1b[201~', ENTER)
    assert 'is 3' in shell.expect('complete.')
    shell.prompt()

    # Completion; the names are asked for when the shell starts.
    for typed, want in (('ou:industr', 'ou:industry'), ('inet:ipv4 +:as', 'inet:ipv4 +:asn'), ('$lib.cas', '$lib.cast'),
                        ('inet:ipv4 +#foo.b', 'inet:ipv4 +#foo.bar'), ('inet:ipv4 | movetag', 'inet:ipv4 | movetag'),
                        ('inet:ipv4 | edges.d', 'inet:ipv4 | edges.del'), ('!pushf', '!pushfile')):
        for _ in range(50):
            shell.forget()
            shell.keys(typed, TAB)
            shown = shell.settle()
            shell.keys(CTRL_C, CTRL_C)
            shell.prompt()
            if want in shown.replace('\r', ''):
                break
        else:
            raise AssertionError(f'{typed!r} and Tab gave {shown!r}')

    # Errors are red and point at the place.
    shell.keys('inet:ipv4=1.2.3.4 | newpcmd', ENTER)
    shell.expect('ERROR: ')
    shell.prompt()
    shell.forget()
    shell.keys('inet:ipv4=newp', ENTER)
    while b'ERROR: ' not in shell.raw:
        shell.read(5)
    assert b'\x1b[31mERROR: ' in shell.raw and re.search(rb'\x1b\[31m +\^+', shell.raw), shell.raw
    shell.prompt()
    shell.keys('inet:ipv4 ||| count', ENTER)
    assert '^' in shell.expect('Syntax Error: ')
    shell.prompt()

    # Ctrl-C cancels the query and not the shell: the service ends it too.
    shell.keys('while (true) { $lib.time.sleep(0.1) $lib.print(tick) }', ENTER)
    shell.expect('tick\r\n')
    shell.keys(CTRL_C)
    shell.expect('<cancelled>')
    shell.prompt()
    for _ in range(50):
        if not [task for task in await svc.call('ps') if 'tick' in str(task)]:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError('the query runs on')
    # One that computes without a pause as well.
    shell.keys('while (true) { $x = (1) }', ENTER)
    shell.expect('}\r\n')
    shell.forget()
    shell.keys(CTRL_C)
    shell.expect('<cancelled>')
    shell.prompt()
    assert 'complete.' in shell.ask('inet:ipv4')
    assert '!pushfile' in shell.ask('!help', end='!pullfile')
    assert shell.end() == 0
    # The next shell remembers.
    shell = Shell([opts.binary, 'tool', 'storm', f'cell://{svc.dirn}'], home)
    shell.prompt()
    shell.keys(UP, UP, ENTER)
    shell.expect('complete. 1 nodes')
    shell.prompt()
    shell.keys('!quit', ENTER)
    assert shell.end() == 0


async def restart(svc, home):
    '''A service that goes away and comes back: the shell says so, and goes on.'''
    shell = Shell([opts.binary, 'storm', f'cell://{svc.dirn}'], home)
    shell.prompt()
    svc.stop()
    shell.keys('inet:ipv4', ENTER)
    shell.expect('ERROR: ')
    shell.prompt()
    await svc.start()
    assert 'complete. 1 nodes' in shell.ask('inet:ipv4')
    assert shell.end() == 0


def single(svc):
    '''One query, and queries from a pipe.'''
    def run(argv, said=None):
        done = subprocess.run([opts.binary, *argv], input=said, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    url = f'cell://{svc.dirn}'
    code, said = run(['storm', url, 'inet:ipv4'])
    assert code == 0 and ':asn = 10' in said and '\x1b' not in said, said
    code, said = run(['storm', url, '[ inet:ipv4=newp ]'])
    assert code == 1 and 'ERROR: ' in said and '^' not in said, said
    code, said = run(['storm', url], 'inet:ipv4 | count\n\n$lib.print(second)\n')
    assert code == 0 and 'second' in said and 'Counted 1' in said, said
    code, said = run(['storm', url], '$lib.raise(Foo, bar)\n$lib.print(goes on)\n')
    assert code == 1 and 'goes on' in said, said
    code, said = run(['storm', f'cell://{svc.dirn}/newp', 'inet:ipv4'])
    assert code == 1 and 'ERROR' in said, said


def quickstart(base, home):
    '''The prompt of a quickstart; leaving it ends the services.'''
    dirn = os.path.join(base, 'quick')
    shell = Shell([opts.binary, 'quickstart', dirn], home)
    shell.prompt(120)
    assert 'complete. 1 nodes' in shell.ask('[ inet:fqdn=vertex.link ]')
    shell.keys('$lib.axon.put($lib.base64.decode("Zm9v")) $lib.jsonstor.set(foo, bar) $lib.print($lib.jsonstor.get(foo))', ENTER)
    assert 'bar' in shell.expect('complete.')
    shell.prompt()
    assert shell.end() == 0
    done = subprocess.run([opts.binary, 'quickstart', dirn, 'inet:fqdn=vertex.link'], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and 'complete. 1 nodes' in done.stdout, done.stdout + done.stderr


async def main():
    base = tempfile.mkdtemp(prefix='shell')
    home = os.path.join(base, 'home')
    os.makedirs(home)
    async with cluster() as svcs:
        svc = Svc('cortex', os.path.join(base, 'core'), opts.binary)
        svcs.append(svc)
        await svc.start()
        await lines(svc, home)
        print('lines: ok', flush=True)
        await restart(svc, home)
        print('restart: ok', flush=True)
        single(svc)
        print('single: ok', flush=True)
    quickstart(base, home)
    print('quickstart: ok', flush=True)
    shutil.rmtree(base)


if __name__ == '__main__':
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(asyncio.run(main()))
