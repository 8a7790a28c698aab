import { Command } from 'commander';
import { loadConfig } from '../../shared/config/load.ts';
import { type DeadLetter, DeadLetterBox } from '../../shared/broker/dead-letters.ts';
import { topologyOf } from '../../shared/broker/topology.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { alignedTable } from '../aligned-table.ts';
import { askBroker } from '../ask-broker.ts';

interface Options {
  readonly config: string;
  readonly json?: true;
  readonly yes?: true;
}

export function deadLettersCommand(): Command {
  return new Command('dead-letters')
    .description('Look at messages that could not be applied to their shard; send them again, or throw them away.')
    .addCommand(listCommand())
    .addCommand(replayCommand())
    .addCommand(dropCommand());
}

function listCommand(): Command {
  return withOptions(new Command('list'))
    .description('Show the dead letters, the oldest first.')
    .addHelpText(
      'after',
      `
A shard that missed a message for this has gone on without it: what it held then counts as absent, and is read from MySQL
again. So a dead letter makes no row wrong; it tells of a mistake that is worth a report.`,
    )
    .action(async (options: Options) => {
      await withBox(options, async ({ letters }) => {
        if (options.json === true) print(letters.map(asJson));
        else if (letters.length === 0) process.stdout.write('There are no dead letters.\n');
        else process.stdout.write(asTable(letters));
      });
    });
}

function replayCommand(): Command {
  return withOptions(new Command('replay'))
    .description('Send dead letters to their shards once more: those with these ids, or all of them.')
    .argument('[id...]', 'as `list` shows them')
    .addHelpText(
      'after',
      `
Most often free of effect: a shard takes nothing that it has gone past. It helps where the shard has not gone on yet. What
fails again comes back as a new dead letter.`,
    )
    .action(async (ids: string[], options: Options) => {
      await withBox(options, async (box) => {
        const outcomes = await box.replay(choose(box.letters, ids));
        if (options.json === true) {
          print([...outcomes].map(([letter, outcome]) => ({ ...asJson(letter), outcome })));
        } else {
          const count = [...outcomes.values()].filter((outcome) => outcome === 'replayed').length;
          process.stdout.write(`${counted(count)} sent again; free of effect where the shard has gone past it.\n`);
          for (const [letter, outcome] of outcomes) {
            if (outcome === 'unknown shard') {
              process.stderr.write(
                `${letter.id} is kept: the configuration has no shard ${letter.shard || '(none named)'}\n`,
              );
            }
          }
        }
        if ([...outcomes.values()].includes('unknown shard')) process.exitCode = 1;
      });
    });
}

function dropCommand(): Command {
  return withOptions(new Command('drop'))
    .description('Throw dead letters away: those with these ids, or all of them.')
    .argument('[id...]', 'as `list` shows them')
    .option('--yes', 'really')
    .action(async (ids: string[], options: Options) => {
      await withBox(options, async (box) => {
        const chosen = choose(box.letters, ids);
        if (options.yes !== true) {
          process.stderr.write(`${counted(chosen.length)} would be thrown away; say --yes if that is meant.\n`);
          process.exitCode = 1;
          return;
        }
        box.drop(chosen);
        if (options.json === true) print(chosen.map(asJson));
        else process.stdout.write(`${counted(chosen.length)} thrown away.\n`);
      });
    });
}

function withOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--json', 'as JSON, for scripts');
}

async function withBox({ config: path }: Options, use: (box: DeadLetterBox) => Promise<void>): Promise<void> {
  const config = loadConfig(path);
  const { sync } = config;
  if (sync === undefined) {
    const message = 'there are dead letters only where changes are followed, and this configuration has no sync';
    throw new SetupError([{ code: 'config-invalid', where: 'sync', message }]);
  }
  await askBroker(sync, 'dead-letters', async (connection) => {
    const box = await DeadLetterBox.open(connection, topologyOf(config, sync));
    try {
      await use(box);
    } finally {
      await box.close();
    }
  });
}

/** Throws SetupError where an id is not among them, before anything is done to any. */
function choose(letters: readonly DeadLetter[], ids: readonly string[]): readonly DeadLetter[] {
  if (ids.length === 0) return letters;
  const missing = ids.filter((id) => !letters.some((letter) => letter.id === id));
  const [first, ...more] = missing.map((id) => ({
    code: 'dead-letter-unknown' as const,
    where: '',
    message: `there is no dead letter ${id}`,
    mend: 'ringfill dead-letters list',
  }));
  if (first !== undefined) throw new SetupError([first, ...more]);
  return letters.filter((letter) => ids.includes(letter.id));
}

function asTable(letters: readonly DeadLetter[]): string {
  const rows = letters.map(({ id, ring, shard, at, message, why }) => [
    id,
    ring,
    shard,
    timeOf(at) ?? '-',
    message.length,
    why,
  ]);
  return alignedTable([['id', 'ring', 'shard', 'since', 'bytes', 'why'], ...rows]);
}

function asJson({ id, ring, shard, at, message, why }: DeadLetter): Record<string, unknown> {
  return { id, ring, shard, at: timeOf(at), bytes: message.length, why };
}

function timeOf(at: Date): string | null {
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

function counted(count: number): string {
  return count === 1 ? '1 dead letter' : `${count} dead letters`;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
