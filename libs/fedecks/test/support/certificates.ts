/**
 * Certificates for a test, made by openssl in a directory that `remove` deletes.
 *
 *     const certificates = new Certificates();
 *     const ca = certificates.make({ name: 'A CA', isCa: true });
 *     const cloud = certificates.make({ name: 'localhost', alt: 'DNS:localhost,IP:127.0.0.1', issuer: ca });
 *     cloud.key; cloud.cert;                           // PEM
 *     cloud.pin;                                       // 'sha256/...', as `openssl` and not as our code computes it
 *     certificates.make({ name: 'localhost', from: '20400101000000Z', to: '20410101000000Z' });
 *     certificates.remove();
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Wish {
  /** The common name, which is also the alternative name unless `alt` says otherwise. */
  readonly name: string;
  /** Alternative names as openssl writes them: `DNS:localhost,IP:127.0.0.1`. */
  readonly alt?: string;
  readonly isCa?: boolean;
  /** The certificate that signs it; self-signed by default. */
  readonly issuer?: Certificate;
  /** Its validity, as `YYYYMMDDHHMMSSZ`; one day from now by default. */
  readonly from?: string;
  readonly to?: string;
}

export interface Certificate {
  readonly key: string;
  readonly cert: string;
  readonly pin: string;
  readonly keyFile: string;
  readonly certFile: string;
}

export class Certificates {
  private readonly directory = mkdtempSync(join(tmpdir(), 'fedecks-certificates-'));
  private count = 0;

  make({ name, alt = `DNS:${name}`, isCa = false, issuer, from, to }: Wish): Certificate {
    const path = (what: string): string => join(this.directory, `${this.count}-${what}`);
    this.count++;
    const [keyFile, certFile, requestFile] = [path('key.pem'), path('cert.pem'), path('request.pem')];
    openssl(
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-batch'],
      ...['-subj', `/CN=${name}`, '-keyout', keyFile, '-out', requestFile],
    );
    // Only `openssl ca` supports any start of validity, and it needs its index and serial files.
    writeFileSync(path('index'), '');
    writeFileSync(
      path('config'),
      `[ca]\ndefault_ca=this\n[this]\ndatabase=${path('index')}\nnew_certs_dir=${this.directory}\ndefault_md=sha256\n` +
        `rand_serial=yes\nunique_subject=no\npolicy=any\nx509_extensions=extensions\n[any]\ncommonName=supplied\n` +
        `[extensions]\nbasicConstraints=critical,CA:${isCa ? 'TRUE' : 'FALSE'}\nsubjectAltName=${alt}\n`,
    );
    const signer = issuer
      ? ['-keyfile', issuer.keyFile, '-cert', issuer.certFile]
      : ['-selfsign', '-keyfile', keyFile];
    const validity =
      from === undefined || to === undefined ? ['-days', '1'] : ['-startdate', from, '-enddate', to];
    openssl(
      ...['ca', '-batch', '-notext', '-config', path('config'), '-in', requestFile, '-out', certFile],
      ...signer,
      ...validity,
    );
    const keyDer = path('key.der');
    openssl('pkey', '-in', keyFile, '-pubout', '-outform', 'der', '-out', keyDer);
    const hash = openssl('dgst', '-sha256', '-binary', keyDer);
    return {
      key: readFileSync(keyFile, 'utf8'),
      cert: readFileSync(certFile, 'utf8'),
      pin: `sha256/${hash.toString('base64')}`,
      keyFile,
      certFile,
    };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function openssl(...args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
}
