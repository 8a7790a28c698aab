/** Certificate authorities that nobody else knows, and certificates of theirs. */
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  /** Its own certificate's path. */
  readonly ca: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name = 'ca') {
    this.#folder = folder;
    this.#name = name;
    this.ca = this.#path('pem');
    const subject = `/CN=ringfill test authority ${name}`;
    openssl('req', '-x509', ...NEW_KEY, '-days', '1', '-subj', subject, '-keyout', this.#path('key'), '-out', this.ca);
  }

  /** @param names such as `DNS:localhost` or `IP:127.0.0.1`. */
  issue(file: string, names: readonly string[], days = 1): CertificatePaths {
    const [cert, key, request] = ['pem', 'key', 'csr'].map((kind) => join(this.#folder, `${file}.${kind}`)) as [
      string,
      string,
      string,
    ];
    const alternatives = `subjectAltName=${names.join(',')}`;
    openssl('req', '-new', ...NEW_KEY, '-subj', '/CN=server', '-addext', alternatives, '-keyout', key, '-out', request);
    const signedBy = ['-CA', this.ca, '-CAkey', this.#path('key'), '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      request,
      ...signedBy,
      '-days',
      String(days),
      '-copy_extensions',
      'copyall',
      '-out',
      cert,
    );
    chmodSync(key, 0o600);
    return { cert, key };
  }

  #path(kind: string): string {
    return join(this.#folder, `${this.#name}.${kind}`);
  }
}

const NEW_KEY = ['-newkey', 'rsa:2048', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
