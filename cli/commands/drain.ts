import { Command } from 'commander';
import { RingfillError } from '../../client/index.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { gatewayClient, urlOption } from '../ask-gateway.ts';
import { type InFile, inFile, type InGateway, inGateway } from '../ring/draining.ts';
import { refused } from '../ring/ring-change.ts';
import { editRings } from './ring-edit.ts';
import { settleRings } from './ring-settle.ts';

interface Options {
  readonly config: string;
  readonly url: string;
  readonly dryRun?: true;
  readonly json?: true;
}

/** One gateway's word; nothing where it could not be asked. */
type Word = InGateway | undefined;

export function drainCommand(): Command {
  return new Command('drain')
    .description(
      'Take a shard out of its ring, step by step: does the next step, and says when it may be switched off.',
    )
    .argument('<shard>', 'its name, such as r4')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .addOption(urlOption())
    .option('--dry-run', 'only show what would be changed')
    .option('--json', 'how far it is as JSON, for scripts; all else goes to standard error')
    .addHelpText(
      'after',
      `
No second way beside \`ringfill ring remove\` and \`ringfill ring settle\`, but these in their order; run it again after
each step, until it says that the server may be switched off:

  1. the shard is taken out of the ring in the configuration file; what the ring was stays as a former definition
  2. you reload the sync worker, then each gateway: it gets no new rows, and the others take its rows over as they are
     asked for, so leave it running
  3. when all that it had has expired, the former definition is dropped
  4. you reload once more: no gateway knows it any more

It asks the gateway at --url how far it is; ask each of them, where there are several. The exit code is 1 if that gateway
cannot be asked when it counts.`,
    )
    .action(async (name: string, options: Options) => {
      const { config: path, url, dryRun, json } = options;
      const shard = name.slice(name.indexOf('/') + 1);
      const tell = (text: string) => void (json === true ? process.stderr : process.stdout).write(text);
      const before = inFile(loadConfig(path), shard, Date.now());
      const word = await askWhetherUsed(url, shard, before);
      if (before.kind === 'unknown' && word === 'uses') {
        throw refused(
          `${path} has no shard ${shard}, and the gateway at ${url} uses one`,
          'name its file, --config FILE; or reload that gateway',
        );
      }
      switch (before.kind) {
        case 'in-use':
          await editRings([{ kind: 'remove', ring: before.ring, shard }], { config: path, dryRun, tell });
          break;
        case 'handed-over':
          // A gateway that was never reloaded would fill it on.
          if (word === 'hands-over' || word === 'forgot')
            await settleRings(before.ring, { config: path, dryRun, tell });
          break;
        case 'handing-over':
        case 'unknown':
          break;
      }
      const after = inFile(loadConfig(path), shard, Date.now());
      const mayBeSwitchedOff = after.kind === 'unknown' && word === 'forgot';
      tell(`\n${whatNext(shard, url, after, word)}\n`);
      if (json === true) {
        const until = after.kind === 'handing-over' ? (after.until ?? null) : null;
        const told = { shard, file: after.kind, gateway: word ?? null, until, mayBeSwitchedOff };
        process.stdout.write(`${JSON.stringify(told)}\n`);
      }
      if (before.kind !== 'in-use' && word === undefined) process.exitCode = 1;
    });
}

async function askWhetherUsed(url: string, shard: string, before: InFile): Promise<Word> {
  const client = gatewayClient(url);
  try {
    return inGateway(await client.ring(), shard);
  } catch (error) {
    if (!(error instanceof RingfillError)) throw error;
    // The first step needs no gateway.
    if (before.kind !== 'in-use') process.stderr.write(`${error.message}\n`);
    return undefined;
  } finally {
    await client.close();
  }
}

function whatNext(shard: string, url: string, file: InFile, word: Word): string {
  const again = `ringfill drain ${shard}`;
  switch (file.kind) {
    case 'in-use':
      return `${shard} is in use.`;
    case 'handing-over': {
      const until = file.until === undefined ? 'you settle it by hand (it has no until)' : file.until;
      if (word === 'uses' || word === undefined) {
        const still = word === 'uses' ? `The gateway at ${url} still uses ${shard}` : `No gateway was asked`;
        return `${still}: reload as said above, then \`${again}\` tells how far it is. Leave ${shard} running until ${until}.`;
      }
      return `${shard} gets no new rows; the others take its rows over as they are asked for. Leave it running until ${until}; then \`${again}\`.`;
    }
    case 'handed-over':
      if (word === undefined)
        return `All that ${shard} had has expired. The gateway has to be asked before it is settled.`;
      if (word === 'uses')
        return `The gateway at ${url} still uses ${shard}: reload the sync worker, then each gateway; then \`${again}\`.`;
      return `All that ${shard} had has expired.`;
    case 'unknown':
      if (word === 'forgot')
        return `The gateway at ${url} does not know ${shard}, nor does the file: it may be switched off.`;
      if (word === undefined)
        return `The file has no ${shard}. Whether a gateway still asks it is not known: leave it running, and try again.`;
      return `The gateway at ${url} still asks ${shard}: reload the sync worker, then each gateway; then \`${again}\`.`;
  }
}
