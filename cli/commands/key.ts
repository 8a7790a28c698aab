import { Command, InvalidArgumentError, Option } from 'commander';
import { newKey } from '../../shared/access/api-key.ts';
import { changeKeyFile, type KeyRecord, readKeyFile, TABLE_SCOPE } from '../../shared/access/key-file.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { alignedTable } from '../aligned-table.ts';

interface Place {
  readonly config: string;
  readonly keysFile?: string;
}

interface NewKeyOptions extends Place {
  readonly name: string;
  readonly table: readonly string[];
  readonly admin?: true;
  readonly expires?: string;
}

export function keyCommand(): Command {
  return new Command('key')
    .description('API keys: who may read which tables (access, in the configuration).')
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

function createCommand(): Command {
  return inKeysFile(new Command('create'))
    .description('Make a key, and print it once. Running gateways take it within a second or two.')
    .requiredOption('--name <name>', 'whose it is, for people', parseName)
    .option(
      '--table <db.table>',
      'what it may read; several times for several, * for all that are exposed',
      collect,
      [],
    )
    .option('--admin', 'for administration too')
    .option('--expires <when>', 'as 2027-01-31, 2027-01-31T12:00:00Z, or in days: 90d', parseExpiry)
    .addHelpText(
      'after',
      `
The key goes to stdout, alone; it is not kept, only its hash is. It is sent as Authorization: Bearer rf_….
To replace a key: create another, give it to whoever had the first, then revoke that one.`,
    )
    .action(async ({ name, table, admin, expires, ...place }: NewKeyOptions) => {
      if (table.length === 0 && admin !== true) {
        throw new SetupError([
          {
            code: 'keys-unusable',
            where: '--table',
            message: 'a key for no table, and not for administration either, is for nothing',
            mend: "ringfill key create --name … --table shop.orders, or --table '*'",
          },
        ]);
      }
      const { text, id, sha256 } = newKey();
      const record: KeyRecord = {
        id,
        name,
        sha256,
        tables: [...new Set(table)],
        admin: admin === true,
        created: new Date().toISOString(),
        ...(expires === undefined ? {} : { expires }),
      };
      const path = keysFileOf(place);
      await changeKeyFile(path, (keys) => [...keys, record]);
      process.stdout.write(`${text}\n`);
      process.stderr.write(`Key ${id} is in ${path}. This is the only time that it is shown.\n`);
    });
}

function listCommand(): Command {
  return inKeysFile(new Command('list'))
    .description('The keys in the file; not their secrets, which are not in it.')
    .option('--json', 'as JSON, for scripts')
    .action(({ json, ...place }: Place & { readonly json?: true }) => {
      const keys = readKeyFile(keysFileOf(place)).map(({ sha256: _sha256, ...key }) => key);
      if (json) {
        process.stdout.write(`${JSON.stringify({ keys })}\n`);
        return;
      }
      const rows = keys.map(({ id, name, tables, admin, created, expires }) => [
        id,
        name,
        [...tables, ...(admin ? ['(admin)'] : [])].join(' '),
        created,
        expires === undefined ? '-' : `${expires}${Date.parse(expires) <= Date.now() ? ' (expired)' : ''}`,
      ]);
      process.stdout.write(alignedTable([['id', 'name', 'tables', 'created', 'expires'], ...rows]));
    });
}

function revokeCommand(): Command {
  return inKeysFile(new Command('revoke'))
    .description('Take a key out of the file. Running gateways refuse it within a second or two.')
    .argument('<id>', 'as `ringfill key list` shows it')
    .action(async (id: string, place: Place) => {
      const path = keysFileOf(place);
      let name = '';
      await changeKeyFile(path, (keys) => {
        const revoked = keys.find((key) => key.id === id);
        if (revoked === undefined) throw unknown(id, keys, path);
        name = revoked.name;
        return keys.filter((key) => key !== revoked);
      });
      process.stdout.write(`${id} (${name}) is revoked.\n`);
    });
}

function inKeysFile(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration file, which names the file of keys', 'ringfill.yml')
    .addOption(new Option('--keys-file <file>', 'the file of keys itself, whatever the configuration says'));
}

/** Throws SetupError. */
function keysFileOf({ config: path, keysFile }: Place): string {
  if (keysFile !== undefined) return keysFile;
  const { access } = loadConfig(path);
  if (access !== undefined) return access.keysFile;
  throw new SetupError([
    {
      code: 'keys-unusable',
      where: path,
      message: 'it says nothing of API keys, so rows are for everybody who reaches the port',
      mend: 'access: {keysFile: keys.json}; or name the file here: --keys-file keys.json',
    },
  ]);
}

function unknown(id: string, keys: readonly KeyRecord[], path: string): SetupError {
  const there = keys.length === 0 ? 'there are none' : `there are ${keys.map((key) => key.id).join(', ')}`;
  return new SetupError([{ code: 'key-unknown', where: path, message: `no key has the id ${id}; ${there}` }]);
}

function collect(table: string, tables: readonly string[]): string[] {
  if (new RegExp(TABLE_SCOPE).test(table)) return [...tables, table];
  throw new InvalidArgumentError('A table is named as db.table, such as test.users; * is all of them.');
}

function parseName(text: string): string {
  if (text.length > 0 && text.length <= 128) return text;
  throw new InvalidArgumentError('1 to 128 characters.');
}

function parseExpiry(text: string): string {
  const days = /^([1-9][0-9]{0,4})d$/.exec(text)?.[1];
  const isTime = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?$/.test(text);
  const expiresMs =
    days === undefined ? (isTime ? Date.parse(text) : Number.NaN) : Date.now() + Number(days) * 86_400_000;
  if (expiresMs > Date.now()) return new Date(expiresMs).toISOString();
  const why = Number.isNaN(expiresMs) ? 'Write 2027-01-31, 2027-01-31T12:00:00Z, or 90d.' : 'That is over already.';
  throw new InvalidArgumentError(why);
}
