import { Command } from 'commander';
import { ConfigFile, type EditedFile } from '../ring/config-file.ts';
import { expiredBy } from '../ring/longest-life.ts';
import { movementsText } from '../ring/movement-report.ts';
import { movementsOf } from '../ring/movement.ts';
import { changeRings, parseShard, parseShardAt, refused, type RingChange } from '../ring/ring-change.ts';
import { type SaveOptions, saveRings } from '../ring/save-rings.ts';
import { secretIn } from '../ring/written-secret.ts';

interface Options {
  readonly config: string;
  readonly dryRun?: true | undefined;
}

export function ringAddCommand(): Command {
  return withOptions(new Command('add'))
    .description('Add shards to a ring in the configuration file. Most keys stay where they are.')
    .argument('<ring/name=url...>', 'such as primary/r4=redis://cache-4:6379')
    .addHelpText('after', ABOUT_SECRETS)
    .action(async (texts: string[], options: Options) => {
      await editRings(
        texts.map((text) => parseShardAt('add', text)),
        options,
      );
    });
}

export function ringRemoveCommand(): Command {
  return withOptions(new Command('remove'))
    .description('Take shards out of a ring in the configuration file. Only their keys move.')
    .argument('<ring/name...>', 'such as primary/r4')
    .addHelpText(
      'after',
      `
Leave the servers running until \`ringfill ring settle\`: the other shards take their rows over from them.`,
    )
    .action(async (texts: string[], options: Options) => {
      await editRings(texts.map(parseShard), options);
    });
}

export function ringReplaceCommand(): Command {
  return withOptions(new Command('replace'))
    .description('Give shards another server in the configuration file. No key moves; the new server begins empty.')
    .argument('<ring/name=url...>', 'such as primary/r2=redis://cache-9:6379')
    .addHelpText(
      'after',
      `
Keys are placed by the shard's name, so the ring stays what it is, and nothing has to be settled.
${ABOUT_SECRETS}`,
    )
    .action(async (texts: string[], options: Options) => {
      await editRings(
        texts.map((text) => parseShardAt('replace', text)),
        options,
      );
    });
}

const ABOUT_SECRETS = `
A password stands in the file as it is written here: take a reference, in single quotes, as for the other shards:
'redis://:\${REDIS_PASSWORD}@cache-4:6379'. The file's comments and order stay; it is replaced as a whole or not at all.`;

function withOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--dry-run', 'only show what would be changed');
}

/** Throws SetupError; the file is then as it was. */
export async function editRings(
  changes: readonly RingChange[],
  { config: path, dryRun, tell }: Options & Pick<SaveOptions, 'tell'>,
): Promise<void> {
  const file = new ConfigFile(path);
  const remarks = changes.flatMap((one) => ('url' in one ? remarkOn(one.shard, one.url, file) : []));
  const until = expiredBy(file.config, Date.now());
  await saveRings(file, changeRings(file.config, file.rings, changes, until), {
    dryRun: dryRun === true,
    describe: (edited) => describe(file, edited),
    tell,
  });
  process.stderr.write(remarks.join(''));
}

function describe(file: ConfigFile, edited: EditedFile): string {
  const movements = movementsOf(file.config, edited.config).filter(
    ({ moves, replaced }) => moves.length > 0 || replaced.length > 0,
  );
  const kept = movements
    .filter(({ moves }) => moves.length > 0)
    .map(({ ring, layer }) => {
      const until = edited.config.rings[layer]?.former?.[0]?.until ?? '';
      return `What ring ${ring} was is kept as its newest former definition; from ${until} on: ringfill ring settle ${ring}\n`;
    });
  return movementsText(movements) + kept.join('');
}

/** Throws SetupError where a secret's value would be written. */
function remarkOn(shard: string, url: string, { text, path }: ConfigFile): string[] {
  const secret = secretIn(url, text, process.env);
  switch (secret.kind) {
    case 'none':
      return [];
    case 'literal':
      return [`The password of ${shard} stands in ${path} as it is; better a \${NAME}, and the password in there.\n`];
    case 'expanded': {
      const { reference } = secret;
      const message = `the URL of ${shard} has the value of ${reference} in it, which would be written into the file`;
      throw refused(message, `put the URL into single quotes, with ${reference} for the password`);
    }
  }
}
