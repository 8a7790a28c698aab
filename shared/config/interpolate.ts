/**
 * Secrets from the environment and from files: `${NAME}`, `${NAME:-default}`, `${file:/run/secrets/name}`; `$${` is a
 * literal `${`. Done on the parsed values, so a secret can hold any character and never changes the file's structure.
 */
import { readFileSync } from 'node:fs';
import { messageOf, type Problem } from '../errors/errors.ts';

const REFERENCE = /\$(\$\{)|\$\{([^}]*)\}/g;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/** Returns a copy with every reference replaced; what cannot be replaced is added to `problems`. */
export function interpolate(value: unknown, env: NodeJS.ProcessEnv, problems: Problem[], where = ''): unknown {
  if (typeof value === 'string') {
    return value.replace(REFERENCE, (whole, escaped: string | undefined, reference: string) => {
      if (escaped !== undefined) return '${';
      try {
        return resolve(reference, env);
      } catch (error) {
        problems.push({ code: 'config-secret-missing', where, message: `${whole}: ${messageOf(error)}` });
        return '';
      }
    });
  }
  if (Array.isArray(value)) return value.map((item, index) => interpolate(item, env, problems, join(where, index)));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, interpolate(item, env, problems, join(where, name))]),
    );
  }
  return value;
}

function resolve(reference: string, env: NodeJS.ProcessEnv): string {
  if (reference.startsWith('file:')) {
    // Editors and `echo` leave a newline at the end; a secret never means it.
    return readFileSync(reference.slice('file:'.length), 'utf8').replace(/\r?\n$/, '');
  }
  const match = VARIABLE.exec(reference);
  if (match === null) throw new Error('write ${NAME}, ${NAME:-default} or ${file:/path}; a literal ${ is $${');
  const [, name, fallback] = match;
  const value = env[name as string] ?? fallback;
  if (value === undefined) throw new Error(`the environment variable ${name} is not set`);
  return value;
}

function join(where: string, name: string | number): string {
  return where === '' ? String(name) : `${where}.${name}`;
}
