/**
 * An API key as its holder sends it, and what is kept of it:
 *
 *     Authorization: Bearer rf_<id>_<secret>      id: 12 hex digits, no secret; logs and `ringfill key list` name it
 *                                                 secret: 256 random bits, in hex
 *
 * Of the secret only its SHA-256 is kept. A slow hash, as passwords need, would add nothing: passwords are guessed because
 * people choose them, and 256 random bits are not guessed at any speed. So a request pays two microseconds.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

export interface NewKey {
  /** To be shown once, and not kept. */
  readonly text: string;
  readonly id: string;
  /** Of the secret, in hex. */
  readonly sha256: string;
}

export interface SentKey {
  readonly id: string;
  readonly secret: string;
}

const ID_BYTES = 6;
const SECRET_BYTES = 32;

const KEY = /^rf_([0-9a-f]{12})_([0-9a-f]{64})$/;

/** RFC 6750, section 2.1; a scheme's name has no case (RFC 9110, section 11.1). */
const BEARER = /^bearer +(\S+)$/i;
/** RFC 7617. */
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

export function newKey(): NewKey {
  const id = randomBytes(ID_BYTES).toString('hex');
  const secret = randomBytes(SECRET_BYTES).toString('hex');
  return { text: `rf_${id}_${secret}`, id, sha256: hash('sha256', secret) };
}

/** From the value of `Authorization`; nothing where it is none of ours. */
export function bearerKey(authorization: string): SentKey | undefined {
  return parseKey(BEARER.exec(authorization)?.[1]);
}

/** The password that a browser was given, whatever the user's name. */
export function basicKey(authorization: string): SentKey | undefined {
  const login = Buffer.from(BASIC.exec(authorization)?.[1] ?? '', 'base64').toString('latin1');
  return parseKey(login.slice(login.indexOf(':') + 1));
}

/** In constant time, as far as the secret is concerned. */
export function isSecret(secret: string, sha256: Buffer): boolean {
  return timingSafeEqual(hash('sha256', secret, 'buffer'), sha256);
}

function parseKey(text: string | undefined): SentKey | undefined {
  const [, id, secret] = KEY.exec(text ?? '') ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}
