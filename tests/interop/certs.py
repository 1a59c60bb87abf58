"""Certificate directories made by us and read by the official package, and the reverse; TLS between the two."""
import argparse
import asyncio
import os
import ssl
import subprocess
import sys
import tempfile

import synapse.exc as s_exc
import synapse.telepath as s_telepath
import synapse.lib.certdir as s_certdir
import cryptography.x509 as c_x509
import cryptography.hazmat.primitives.hashes as c_hashes

from telepath import Server, example, raises


def shape(cert):
    """What must be equal between the two, without keys, serials and times."""
    exts = [(ext.oid.dotted_string, ext.critical, ext.value.public_bytes()) for ext in cert.extensions]
    days = (cert.not_valid_after_utc - cert.not_valid_before_utc).days
    return (cert.version, cert.signature_algorithm_oid.dotted_string, days, cert.public_key().key_size,
            cert.subject.rfc4514_string(), cert.issuer.rfc4514_string(), exts)


def check_ours(dirn, pydir):
    """Our directory through the official one, and the same made by it."""
    ours, ref = s_certdir.CertDir(dirn), s_certdir.CertDir(pydir)
    sans = 'DNS:alt.loop.vertex.link,email:a@vertex.link,URI:http://vertex.link'
    ref.genCaCert('ourca')
    ref.genCaCert('oursub', signas='ourca')
    ref.genHostCert('00.loop.vertex.link', signas='ourca', sans=sans)
    ref.genUserCert('root@loop.vertex.link', signas='ourca')
    ref.genCodeCert('coder', signas='oursub')
    ref.genUserCsr('asks@loop.vertex.link')
    for name, getr in (('ourca', 'getCaCert'), ('oursub', 'getCaCert'), ('00.loop.vertex.link', 'getHostCert'),
                       ('root@loop.vertex.link', 'getUserCert'), ('coder', 'getCodeCert')):
        mine, theirs = shape(getattr(ours, getr)(name)), shape(getattr(ref, getr)(name))
        assert mine == theirs, f'{name}: {mine} != {theirs}'
    csrs = []
    for cdir in (ours, ref):
        csr = cdir._loadCsrPath(cdir.getUserCsrPath('asks@loop.vertex.link'))
        assert csr.is_signature_valid
        csrs.append((csr.subject.rfc4514_string(), [(e.oid, e.critical, e.value) for e in csr.extensions]))
    assert csrs[0] == csrs[1], csrs

    for getr, name in (('getCaKey', 'ourca'), ('getHostKey', '00.loop.vertex.link'),
                       ('getUserKey', 'root@loop.vertex.link'), ('getUserKey', 'asks@loop.vertex.link')):
        assert getattr(ours, getr)(name).key_size == 4096
    with open(ours.getUserKeyPath('root@loop.vertex.link')) as fd:
        assert fd.readline() == '-----BEGIN RSA PRIVATE KEY-----\n'

    with open(ours.getCodeCertPath('coder'), 'rb') as fd:
        ours.valCodeCert(fd.read())
    with open(ours.getCodeCertPath('gonecoder'), 'rb') as fd:
        try:
            ours.valCodeCert(fd.read())
            raise AssertionError('a revoked code certificate was valid')
        except s_exc.BadCertVerify as e:
            assert 'revoked' in e.get('mesg'), e
    with open(ours.getCrlPath('ourca'), 'rb') as fd:
        crl = c_x509.load_pem_x509_crl(fd.read())
    gone = ours.getUserCert('gone@loop.vertex.link')
    assert crl.get_revoked_certificate_by_serial_number(gone.serial_number) is not None and len(list(crl)) == 1
    assert crl.is_signature_valid(ours.getCaCert('ourca').public_key())
    ours.genCaCrl('ourca').revoke(ours.getHostCert('00.loop.vertex.link'))

    p12 = ours.getClientCert('root@loop.vertex.link')
    assert p12.cert.friendly_name == b'root@loop.vertex.link' and p12.key.key_size == 4096
    assert [cert.certificate.subject.rfc4514_string() for cert in p12.additional_certs] == ['CN=ourca']
    assert subprocess.run(['openssl', 'pkcs12', '-in', ours.getClientCertPath('root@loop.vertex.link'), '-passin', 'pass:',
                           '-nodes', '-noout'], capture_output=True).returncode in (0, 127)
    ours.signUserCsr(ours._loadCsrPath(ours.getUserCsrPath('asks@loop.vertex.link')), 'ourca')


def check_theirs(tool, dirn):
    """An official directory through ours."""
    ref = s_certdir.CertDir(dirn)
    ref.genUserCsr('bob@loop.vertex.link')
    argv = [tool, 'check', dirn, 'ourca', '00.loop.vertex.link', 'root@loop.vertex.link', 'coder', 'bob@loop.vertex.link']
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    cacert = ref.getCaCert('ourca')
    assert done.stdout.strip() == cacert.fingerprint(c_hashes.SHA256()).hex()
    ref.getUserCert('bob@loop.vertex.link').verify_directly_issued_by(cacert)
    with open(ref.getCrlPath('ourca'), 'rb') as fd:
        crl = c_x509.load_pem_x509_crl(fd.read())
    assert len(list(crl)) == 1 and crl.is_signature_valid(cacert.public_key())


async def check_tls(server, dirn):
    """The official client with certificates against our listener."""
    host = '00.loop.vertex.link'
    cdir = s_certdir.CertDir(dirn)
    path, opts = server, {'CERTDIR': dirn}
    async with Server(path, f'ssl://127.0.0.1:0?hostname={host}&ca=ourca', f'ssl://127.0.0.1:0?hostname={host}', **opts) as srv:
        mutual, plain = srv.addrs
        async with await s_telepath.openurl(f'ssl://root@{mutual}?hostname={host}', certdir=cdir) as prox:
            assert await prox.whoami() == ('root@loop.vertex.link', ())
            assert [x async for x in prox.range(2)] == [0, 1]
        await raises('LinkShutDown', s_telepath.openurl(f'ssl://gone@{mutual}?hostname={host}', certdir=cdir))
        await raises('LinkShutDown', s_telepath.openurl(f'ssl://root:secret@{mutual}?hostname={host}', certdir=cdir))
        await raises('NoSuchCert', s_telepath.openurl(f'ssl://newp@{mutual}?hostname={host}', certdir=cdir))
        async with await s_telepath.openurl(f'ssl://root:secret@{plain}?hostname={host}', certdir=cdir) as prox:
            assert await prox.whoami() == ('root', ())
        await raises('BadCertHost', s_telepath.openurl(f'ssl://root:secret@{plain}?hostname=alt.loop.vertex.link', certdir=cdir))
        certhash = cdir.getHostCertHash(host)
        async with await s_telepath.openurl(f'ssl://root:secret@{plain}?certhash={certhash}') as prox:
            assert await prox.whoami() == ('root', ())
        await raises('LinkBadCert', s_telepath.openurl(f'ssl://root:secret@{plain}?certhash={"0" * 64}'))
        try:
            await s_telepath.openurl(f'ssl://root:secret@{plain}?hostname={host}', certdir=s_certdir.CertDir(dirn + 'x'))
            raise AssertionError('an unknown authority was trusted')
        except ssl.SSLCertVerificationError:
            pass


async def main():
    pars = argparse.ArgumentParser(description=__doc__)
    pars.add_argument('--binary', required=True)
    opts = pars.parse_args()
    tool = example(opts.binary, 'myelin-certs', 'certtool')
    server = example(opts.binary, 'myelin-telepath', 'echo_server')
    with tempfile.TemporaryDirectory() as dirn:
        ours, ref = os.path.join(dirn, 'ours'), os.path.join(dirn, 'ref')
        subprocess.run([tool, 'gen', ours], check=True)
        await check_tls(server, ours)
        print('official client over TLS, our daemon: ok')
        check_ours(ours, ref)
        print('our certificates, the official reader: ok')
        check_theirs(tool, ref)
        print('official certificates, our reader: ok')


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
