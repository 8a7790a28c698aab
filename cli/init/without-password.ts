/** A URL whose password is replaced by a reference to an environment variable, for a file that may be shown around. */

export interface PublicUrl {
  readonly text: string;
  /** The variable to export; nothing if the URL has no password, or names a variable already. */
  readonly variable: string | undefined;
}

/** @param given as typed, a URL that has been found to be one. */
export function withoutPassword(given: string, variable: string): PublicUrl {
  if (given.includes('${')) return { text: given, variable: undefined };
  const url = new URL(given);
  if (url.password === '') return { text: given, variable: undefined };
  const login = `${url.username}:\${${variable}}@`;
  return { text: `${url.protocol}//${login}${url.host}${url.pathname}${url.search}`, variable };
}

/** One variable where all passwords are the same, else one for each shard: `REDIS_PASSWORD_R1`. */
export function redisVariables(urls: ReadonlyMap<string, string>): Map<string, string> {
  const passwords = new Set([...urls.values()].map((url) => passwordOf(url)).filter((password) => password !== ''));
  const shared = passwords.size <= 1;
  return new Map(
    [...urls.keys()].map((shard) => [shard, shared ? 'REDIS_PASSWORD' : `REDIS_PASSWORD_${shard.toUpperCase()}`]),
  );
}

function passwordOf(url: string): string {
  return url.includes('${') ? '' : new URL(url).password;
}
