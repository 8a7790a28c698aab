/**
 * Which columns hold, by their names, something to log in or to pay with. A suggestion for the first configuration, to
 * be read by a person: it errs towards denying, and what is denied stands in the file where it can be taken out.
 */
import type { Column } from '../../shared/origin/column.ts';

/** Anywhere in the name, however it is written: `userpassword`, `PasswordHash`. */
const ANYWHERE =
  /passw(?:or)?d|passwort|passphrase|passcode|passhash|apikey|apisecret|privatekey|privkey|secretkey|accesskey|authtoken|accesstoken|refreshtoken/;

const listed = (text: string): readonly string[] => text.split(/,\s*/);

/** As a word of its own; `assault` is not `salt`. */
const WORDS = new Set(
  listed(
    'pwd, pass, secret, secrets, salt, token, tokens, otp, totp, hotp, pin, credential, credentials, cvv, cvc, ssn',
  ),
);

/** Words that are a secret only together. */
const PAIRS = [
  ...listed(
    'api key, private key, secret key, access key, encryption key, signing key, auth key, session key, session id',
  ),
  ...listed('recovery code, recovery codes, backup code, backup codes, security answer, auth string, card number'),
  ...listed('authentication string'),
];

/** `password_changed_at`, `token_count`, `has_password`: about a secret, and none. */
const ABOUT_AT_THE_END = new Set([
  ...listed(
    'at, on, date, time, expires, expiry, expiration, changed, updated, created, count, attempts, length, type',
  ),
  ...listed('name, version, algorithm, algo, enabled, required, used, status, hint, policy, limit'),
]);
const ABOUT_AT_THE_BEGINNING = new Set(listed('has, is, needs, must, use, uses, num, max, min'));

const NEVER_SECRET_TYPES = new Set(
  listed('date, datetime, timestamp, time, year, enum, set, bit, decimal, float, double'),
);
const INTEGER_TYPES = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);
/** `tokens INT` is a number of tokens; `otp INT` is a secret. */
const SECRET_AS_A_NUMBER = /(?:^|_)(?:pin|otp|totp|cvv|cvc|ssn|passcode)(?:_|$)/;

export function looksSecret({ name, dataType, columnType }: Pick<Column, 'name' | 'dataType' | 'columnType'>): boolean {
  if (NEVER_SECRET_TYPES.has(dataType) || columnType.startsWith('tinyint(1)')) return false;
  const words = wordsOf(name);
  if (INTEGER_TYPES.has(dataType) && !SECRET_AS_A_NUMBER.test(words.join('_'))) return false;
  if (ABOUT_AT_THE_END.has(words.at(-1) ?? '') || ABOUT_AT_THE_BEGINNING.has(words[0] ?? '')) return false;
  if (ANYWHERE.test(words.join('')) || words.some((word) => WORDS.has(word))) return true;
  const spaced = ` ${words.join(' ')} `;
  return PAIRS.some((pair) => spaced.includes(` ${pair} `));
}

/** `pwdHash2`, `PWD-HASH` and `pwd_hash` are all `pwd`, `hash`. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .map((word) => word.replace(/\d+$/, ''))
    .filter((word) => word !== '');
}
