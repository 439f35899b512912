import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { type TlsOptions } from '@fedecks/nest/client';

/** What the configuration says of TLS, by the name of its variable. */
export interface TlsSettings {
  readonly FEDECKS_CA_FILE: string | undefined;
  readonly FEDECKS_CERT_FILE: string | undefined;
  readonly FEDECKS_KEY_FILE: string | undefined;
  readonly FEDECKS_SERVERNAME: string | undefined;
  readonly FEDECKS_PINS: readonly string[];
}

/** The variable for each option `tls.*` of the client. */
const VARIABLE_OF: Readonly<Record<string, keyof TlsSettings>> = {
  ca: 'FEDECKS_CA_FILE',
  cert: 'FEDECKS_CERT_FILE',
  key: 'FEDECKS_KEY_FILE',
  servername: 'FEDECKS_SERVERNAME',
  pins: 'FEDECKS_PINS',
};

/** What the client says, with variables in place of its options: that is what can be changed here. */
export function inVariables(text: string): string {
  return text.replaceAll(/'tls\.(\w+)'/g, (option, name: string) => VARIABLE_OF[name] ?? option);
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;
const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;

/**
 * The option `tls` of the client, or undefined where nothing is configured. The files are read once, at start: a new
 * certificate needs a restart.
 * @param problems takes a sentence for all that is wrong, with no content of a file.
 */
export async function readTls(settings: TlsSettings, problems: string[]): Promise<TlsOptions | undefined> {
  const read = async (name: 'FEDECKS_CA_FILE' | 'FEDECKS_CERT_FILE' | 'FEDECKS_KEY_FILE') => {
    const path = settings[name];
    if (path === undefined) return undefined;
    return readFile(path, 'utf8').catch((error: unknown) => {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      problems.push(`${name} names a file that the agent cannot read (${code}).`);
      return undefined;
    });
  };
  const [bundle, cert, key] = [
    await read('FEDECKS_CA_FILE'),
    await read('FEDECKS_CERT_FILE'),
    await read('FEDECKS_KEY_FILE'),
  ];

  const ca = bundle?.match(CERTIFICATE) ?? [];
  if (bundle !== undefined && (ca.length === 0 || !ca.every(isCertificate))) {
    problems.push('FEDECKS_CA_FILE must name a file of PEM certificates.');
  }
  if ((settings.FEDECKS_CERT_FILE === undefined) !== (settings.FEDECKS_KEY_FILE === undefined)) {
    problems.push('FEDECKS_CERT_FILE and FEDECKS_KEY_FILE go together: set both or neither.');
  } else if (cert !== undefined && key !== undefined && !isPair(cert, key)) {
    problems.push(
      'FEDECKS_CERT_FILE and FEDECKS_KEY_FILE must name a PEM certificate and its unencrypted PEM private key.',
    );
  }
  const pins = settings.FEDECKS_PINS;
  if (!pins.every((pin) => PIN.test(pin))) {
    problems.push('Each of FEDECKS_PINS must be sha256/ followed by 44 Base64 characters.');
  }

  const servername = settings.FEDECKS_SERVERNAME;
  const options: TlsOptions = {
    ...(ca.length > 0 && { ca }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
    ...(servername !== undefined && { servername }),
    ...(pins.length > 0 && { pins }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function isPair(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false;
  }
}
