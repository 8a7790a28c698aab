/** Two texts -> a unified diff for people. Passwords that stand in the lines are not shown. */
import { diff } from 'node:util';

const CONTEXT_LINES = 3;

/** Of `util.diff`, asked for (before, after). */
const ADDED = -1;
const REMOVED = 1;

/** Empty where nothing differs. */
export function unifiedDiff(path: string, before: string, after: string): string {
  const entries = diff(linesOf(before), linesOf(after));
  const hunks: string[] = [];
  let [oldLine, newLine] = [1, 1];
  const numbered = entries.map(([kind, line]) => {
    const entry = { kind, line, oldLine, newLine };
    if (kind !== ADDED) oldLine += 1;
    if (kind !== REMOVED) newLine += 1;
    return entry;
  });
  const near = numbered.map((_, index) => {
    const around = numbered.slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1);
    return around.some(({ kind }) => kind !== 0);
  });
  for (let start = near.indexOf(true); start !== -1;) {
    const behind = near.indexOf(false, start);
    const hunk = numbered.slice(start, behind === -1 ? undefined : behind);
    const [first] = hunk;
    const count = (leftOut: number) => hunk.filter(({ kind }) => kind !== leftOut).length;
    hunks.push(
      `@@ -${first?.oldLine},${count(ADDED)} +${first?.newLine},${count(REMOVED)} @@\n`,
      ...hunk.map(
        ({ kind, line }) => `${kind === ADDED ? '+' : kind === REMOVED ? '-' : ' '}${withoutSecrets(line)}\n`,
      ),
    );
    start = behind === -1 ? -1 : near.indexOf(true, behind);
  }
  return hunks.length === 0 ? '' : `--- ${path}\n+++ ${path}\n${hunks.join('')}`;
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/);
}

/** Nothing but `${NAME}`, or several of these. */
const REFERENCES = /^["']?(?:\$\{[^}]*\})+["']?$/;

/** `redis://user:…@host` and `password: …`; a `${NAME}` is no secret. Rather too much is left out than too little. */
export function withoutSecrets(line: string): string {
  return (
    line
      // In JSON there is no space between one URL and the next.
      .replaceAll(/(\w:\/\/[^\s:@/]*:)((?:(?!:\/\/)\S)+)@/g, (whole, login: string, password: string) => {
        return REFERENCES.test(password) ? whole : `${login}***@`;
      })
      .replaceAll(
        /(password["']?\s*:\s*)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\$\{[^}]*\}|[^\s,}]+)/gi,
        (whole, key: string, password: string) => (REFERENCES.test(password) ? whole : `${key}***`),
      )
  );
}
