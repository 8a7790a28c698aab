/**
 * Whether a URL that was typed would bring a secret into the file. A shell replaces `${NAME}` between double quotes, so
 * that the value arrives here instead of the name.
 */
import { interpolate } from '../../shared/config/interpolate.ts';

const REFERENCE = /(?<!\$)\$\{[^}]+\}/g;
/** Stands for one where the URL is taken apart. */
const REPLACED = '\0';

/**
 * - `expanded`: its password is the value of this reference, which the file uses.
 * - `literal`: it has a password of its own.
 * @param file the configuration's text.
 */
export type WrittenSecret =
  | { readonly kind: 'none' }
  | { readonly kind: 'literal' }
  | { readonly kind: 'expanded'; readonly reference: string };

export function secretIn(url: string, file: string, env: NodeJS.ProcessEnv): WrittenSecret {
  const login = /^[a-z]+:\/\/([^/?#]*)@/i.exec(url.replaceAll(REFERENCE, REPLACED))?.[1] ?? '';
  const password = decoded(login.slice(login.indexOf(':') + 1));
  if (!login.includes(':') || password === '' || password.includes(REPLACED)) return { kind: 'none' };
  for (const [reference] of file.matchAll(REFERENCE)) {
    if (interpolate(reference, env, () => undefined) === password) return { kind: 'expanded', reference };
  }
  return { kind: 'literal' };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
