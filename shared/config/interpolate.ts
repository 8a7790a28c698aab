/**
 * Secrets from the environment and from files: `${NAME}`, `${NAME:-default}`, `${file:/run/secrets/name}`,
 * `${credential:name}` (systemd's LoadCredential=); `$${` is a literal `${`. Done on the parsed values, so a secret can hold any character and never changes the file's structure.
 *
 * For the same reason a reference in the login of a URL, `mysql://${USER}:${PASSWORD}@host`, is percent-encoded: whoever
 * sets the variable writes the password as it is, `@` and `/` included. One reference for the user, one for the password.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors/errors.ts';

const REFERENCE = /\$(\$\{)|\$\{([^}]*)\}/g;
const CREDENTIAL = /^credential:([A-Za-z0-9._-]+)$/;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/** @param path the names and indices that lead to the value with the reference. */
export type OnMissing = (path: readonly string[], message: string) => void;

/** Returns a copy with every reference replaced; what cannot be replaced is told to `onMissing`, and left empty. */
export function interpolate(
  value: unknown,
  env: NodeJS.ProcessEnv,
  onMissing: OnMissing,
  path: readonly string[] = [],
): unknown {
  if (typeof value === 'string') {
    const login = loginOf(value);
    return value.replace(REFERENCE, (_whole, escaped: string | undefined, reference: string, offset: number) => {
      if (escaped !== undefined) return '${';
      try {
        const text = resolve(reference, env);
        return offset >= login.start && offset < login.end ? encodeURIComponent(text) : text;
      } catch (error) {
        onMissing(path, `${nameOf(reference)}: ${messageOf(error)}`);
        return '';
      }
    });
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolate(item, env, onMissing, [...path, String(index)]));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, interpolate(item, env, onMissing, [...path, name])]),
    );
  }
  return value;
}

/** What is no reference is not quoted: it may be a password with `${` in it. */
function nameOf(reference: string): string {
  return reference.startsWith('file:') || VARIABLE.test(reference) ? `\${${reference}}` : 'what stands in ${…}';
}

/** Where `user:password` stands in a URL; nowhere in other texts. */
function loginOf(text: string): { start: number; end: number } {
  // A reference may itself hold a slash: ${file:/run/secrets/name}.
  const plain = text.replace(REFERENCE, (whole) => 'x'.repeat(whole.length));
  const match = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)@/i.exec(plain);
  if (match === null) return { start: 0, end: 0 };
  const [, scheme = '', login = ''] = match;
  return { start: scheme.length, end: scheme.length + login.length };
}

function resolve(reference: string, env: NodeJS.ProcessEnv): string {
  if (reference.startsWith('file:')) return secretIn(reference.slice('file:'.length));
  const credential = CREDENTIAL.exec(reference)?.[1];
  if (credential !== undefined) {
    // systemd.exec(5), "Credentials": each service has a folder of its own.
    const folder = env['CREDENTIALS_DIRECTORY'];
    if (folder === undefined) throw new Error('CREDENTIALS_DIRECTORY is not set: systemd has loaded no credentials');
    return secretIn(join(folder, credential));
  }
  const match = VARIABLE.exec(reference);
  if (match === null)
    throw new Error('write ${NAME}, ${NAME:-default}, ${file:/path} or ${credential:name}; a literal ${ is $${');
  const [, name, fallback] = match;
  const value = env[name as string] ?? fallback;
  if (value === undefined) throw new Error(`the environment variable ${name} is not set`);
  return value;
}

/** Editors and `echo` leave a newline at the end; a secret never means it. */
function secretIn(file: string): string {
  return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
}
