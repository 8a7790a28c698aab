/**
 * The commands as commander knows them -> a script by which bash completes them. Made once, so that a press of the tab key
 * starts no Node.js; zsh takes the same by its `bashcompinit`.
 */
import type { Argument, Command, Option } from 'commander';

/** What stands there on the command line names a file. */
const FILES = new Set(['file', 'folder', 'path']);

export function bashScript(program: Command): string {
  const commands = [...withSubcommands(program, [])];
  const name = program.name();
  const paths = commands.map(({ path }) => path.join(' ')).filter((path) => path !== '');
  return `_${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command='' next words='' files='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next=\${command:+$command }\${COMP_WORDS[i]}
    case $next in
      ${paths.map(quoted).join(' | ')}) command=$next ;;
    esac
  done
  case "$command $previous" in
${commands.flatMap(valueCases).join('\n')}
    *) case $command in
${commands.map(wordCase).join('\n')}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ -n $files ]]; then
    compopt -o filenames 2> /dev/null
    COMPREPLY+=($(compgen -f -- "$word"))
  fi
}
complete -F _${name} ${name}
`;
}

interface KnownCommand {
  /** Below the program. */
  readonly path: readonly string[];
  readonly command: Command;
}

function* withSubcommands(command: Command, path: readonly string[]): Generator<KnownCommand> {
  yield { path, command };
  for (const below of command.commands) yield* withSubcommands(below, [...path, below.name()]);
}

/** Behind an option that takes a value: its values, files, or nothing. */
function valueCases({ path, command }: KnownCommand): string[] {
  return command.options.flatMap((option) => {
    if (!option.required && !option.optional) return [];
    const patterns = namesOf(option).map((name) => quoted(`${path.join(' ')} ${name}`));
    return [`    ${patterns.join(' | ')}) ${assigned(option.argChoices ?? [], takesFile(option))} ;;`];
  });
}

function wordCase({ path, command }: KnownCommand): string {
  const [commands, options, args] = [command.commands, command.options, command.registeredArguments];
  const words = [
    ...commands.map((below) => below.name()),
    ...args.flatMap(({ argChoices = [] }) => argChoices),
    ...options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long])),
    '--help',
  ];
  return `      ${quoted(path.join(' '))}) ${assigned(words, args.some(isFile))} ;;`;
}

function assigned(words: readonly string[], files: boolean): string {
  const set = [...(words.length === 0 ? [] : [`words=${quoted(words.join(' '))}`]), ...(files ? ['files=1'] : [])];
  return set.length === 0 ? ':' : set.join(' ');
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined && name !== null);
}

function takesFile({ flags }: Option): boolean {
  return FILES.has(/[<[]([\w-]+)/.exec(flags)?.[1] ?? '');
}

function isFile(argument: Argument): boolean {
  return FILES.has(argument.name());
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
