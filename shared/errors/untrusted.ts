/**
 * Whether TLS failed for who the server is, its certificate, its authority or its name; not for the weather. Waiting does not
 * mend that, and going on without TLS would be what an attacker in between wants.
 */
import { codeOf, messageOf } from './errors.ts';

/** Node's, of OpenSSL's X509_V_ERR_… (openssl-verification-options(1)), and its own for a wrong name. */
const CODES: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

export function isUntrusted(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  // mysql2 puts this in the place of the code; the words are still those of TLS.
  if (code === 'HANDSHAKE_SSL_ERROR') return /certificate/i.test(messageOf(error));
  return code === 'HANDSHAKE_NO_SSL_SUPPORT' || CODES.has(code);
}
