/**
 * The URL of a server, as the configuration has it. A password with `/`, `?` or `#` in it that is not percent-encoded ends
 * the host for a URL's parser: the rest of it would be a path, a parameter or a database, and be named in messages as one.
 */

/** @param example to be written instead. Throws an Error in an operator's words; it never quotes the URL. */
export function serverUrl(text: string, example: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`not a URL; write ${example}`);
  }
  const isBehindHost = [url.pathname, url.hash, ...url.searchParams.keys()].some((part) => part.includes('@'));
  // A socket's path may hold anything.
  if (url.host !== '' && isBehindHost) {
    throw new Error('an @ stands behind the host; /, ?, # and @ in a password must be percent-encoded');
  }
  return url;
}
