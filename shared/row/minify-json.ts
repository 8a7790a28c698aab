/**
 * Drops the white space between JSON's tokens and keeps every token as it is: `1.0`, `12345678901234567890` and equal
 * member names survive, which parsing and writing again would change. Nothing where the text is not JSON.
 *
 * Walked from string to string, not matched as a whole: on a string of some ten million characters a regular expression
 * that knows escapes runs out of stack (RangeError).
 */
export function minifyJson(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  let minified = '';
  let at = 0;
  for (let opening = text.indexOf('"'); opening !== -1; opening = text.indexOf('"', at)) {
    const end = endOfString(text, opening);
    minified += withoutSpace(text.slice(at, opening)) + text.slice(opening, end);
    at = end;
  }
  return minified + withoutSpace(text.slice(at));
}

function withoutSpace(tokens: string): string {
  return tokens.replace(/[\t\n\r ]+/g, '');
}

/** Just past the quote that closes the string. The text is known to be JSON, so there is one. */
function endOfString(text: string, opening: number): number {
  let closing = text.indexOf('"', opening + 1);
  while (isEscaped(text, closing)) closing = text.indexOf('"', closing + 1);
  return closing + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes += 1;
  return backslashes % 2 === 1;
}
