/** The certificate that a port shows, and its key: two PEM files -> what Node takes, if they fit together. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { messageOf, SetupError } from '../errors/errors.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Certificate {
  readonly options: SecureContextOptions;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** Throws SetupError `certificate-unusable`. */
export function readCertificate({ certFile, keyFile }: CertificateFiles): Certificate {
  const cert = read(certFile, 'http.tls.certFile');
  const key = read(keyFile, 'http.tls.keyFile');
  const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.2' };
  try {
    const { validTo } = new X509Certificate(cert);
    createSecureContext(options);
    return { options, expiresMs: Date.parse(validTo) };
  } catch (error) {
    throw unusable('http.tls', `${certFile} and ${keyFile}: ${messageOf(error)}`, error);
  }
}

function read(path: string, where: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw unusable(where, messageOf(error), error);
  }
}

function unusable(where: string, message: string, cause: unknown): SetupError {
  const mend = 'a certificate and its private key in PEM, which this user may read';
  return new SetupError([{ code: 'certificate-unusable', where, message, mend }], { cause });
}
