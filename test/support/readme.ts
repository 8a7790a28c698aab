/**
 * A page's fenced blocks in their order, and the shell script that a person would type of one: with what the page says that
 * he sees. `# → text` behind a command is what it prints, on one line, `…` for anything.
 */
export interface PageBlock {
  readonly language: string;
  readonly text: string;
  /** What an HTML comment right above it says of it; empty without one. */
  readonly remark: string;
  /** The line that it begins in. */
  readonly line: number;
}

/** Those without a language are pictures, and are left out. */
export function blocksOf(page: string): readonly PageBlock[] {
  const fences = page.matchAll(/(?:^<!-- (.*) -->\n\n?)?^```(\w+)\n([^]*?)^```$/gm);
  return [...fences].map((fence) => ({
    remark: fence[1] ?? '',
    language: fence[2] ?? '',
    text: fence[3] ?? '',
    line: page.slice(0, fence.index).split('\n').length,
  }));
}

/** What is printed once the servers have got on is waited for, no longer than this. */
const WITHIN_SECONDS = 30;

/** For bash. Ends with another code than 0 where a command does, or does not print what the page says. */
export function scriptOf(block: string): string {
  const lines = block.split('\n').map((line) => {
    const claim = /^(.*?) +# → (.*)$/.exec(line);
    if (claim === null) return line;
    const [, command = '', printed = ''] = claim;
    return `prints ${quoted(patternOf(printed))} ${quoted(command)}`;
  });
  return `set -eu
prints() {
  local ends=$((SECONDS + ${WITHIN_SECONDS})) said=''
  while :; do
    said=$(eval "$2" 2>&1) || true
    if grep -Eqi -- "$1" <<< "$said"; then echo "$said"; return; fi
    if (( SECONDS >= ends )); then printf 'not printed: %s\\nby: %s\\nbut:\\n%s\\n' "$1" "$2" "$said" >&2; exit 1; fi
    sleep 0.3
  done
}
${lines.join('\n')}`;
}

/** As grep -E takes it. */
function patternOf(printed: string): string {
  return printed
    .trim()
    .split('…')
    .map((text) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`).replaceAll(/ {2,}/g, ' +'))
    .join('.*');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
