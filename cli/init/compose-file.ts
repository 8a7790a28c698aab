/** What was found -> a first ringfill.yml, with a comment wherever a reader would ask. */
import { Document, isMap, isScalar, type Node, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';
import { quoteAccount, quoteName, quoteTable } from '../../shared/origin/table-name.ts';
import { aclRule } from '../../shared/shard/permissions.ts';
import { defaultOf, describeSection, describeSetting, otherSettings, type Section } from './describe-settings.ts';
import type { FoundTable, FoundTables } from './find-tables.ts';

export interface FileContents {
  /** Without its password. */
  readonly originUrl: string;
  /** Without its password; nothing where changes are not to be followed. */
  readonly brokerUrl: string | undefined;
  readonly rings: readonly { readonly name: string; readonly shards: ReadonlyMap<string, string> }[];
  readonly tables: FoundTables;
  /** Who is to read: `ringfill@%`. */
  readonly account: string;
  /** The account is not there yet. */
  readonly newAccount: boolean;
}

const PROSE_WIDTH = 110;

const SCHEMA = './node_modules/ringfill/ringfill.schema.json';

/** Written out, for these are the ones that installations differ in. The others follow as comments. */
const SAID: Partial<Record<Section, readonly string[]>> = {
  http: ['host', 'port'],
  origin: ['url', 'connections', 'timeoutMs'],
  shards: ['timeoutMs'],
  sync: ['broker', 'stateFolder'],
  defaults: ['ttlSeconds', 'negativeTtlSeconds', 'graceSeconds'],
};

export function composeFile(contents: FileContents): string {
  const { originUrl, brokerUrl, rings, tables } = contents;
  const document = new Document({
    http: defaultsOf('http'),
    origin: {
      url: originUrl,
      connections: defaultOf('origin', 'connections'),
      timeoutMs: defaultOf('origin', 'timeoutMs'),
    },
    shards: defaultsOf('shards'),
    rings: rings.map(({ name, shards }) => ({ name, shards: Object.fromEntries(shards) })),
    ...(brokerUrl !== undefined && {
      sync: { broker: { url: brokerUrl }, stateFolder: defaultOf('sync', 'stateFolder') },
    }),
    defaults: defaultsOf('defaults'),
    tables: Object.fromEntries(tables.usable.map((table) => [table.label, tableOf(table)])),
  });
  document.commentBefore = comment([
    `yaml-language-server: $schema=${SCHEMA}`,
    'Written by `ringfill init`. `ringfill check` says whether everything named here is there; `ringfill gateway` serves it.',
    'Secrets stay outside: ${NAME} is an environment variable, ${file:/run/secrets/name} a file, $${ a literal ${.',
  ]);
  const root = document.contents as YAMLMap;
  for (const pair of root.items) {
    const section = keyOf(pair) as Section;
    const key = pair.key as Node;
    // The first one has the file's own comment above it, and a blank line with that.
    key.spaceBefore = pair !== root.items[0];
    key.commentBefore = comment(wrapped(describeSection(section)));
    if (isMap(pair.value)) describeItems(pair.value, section);
  }
  const tableMap = root.get('tables') as YAMLMap;
  for (const [index, { deny }] of tables.usable.entries()) shapeTable(tableMap.items[index] as Pair, deny);
  if (tables.refused.length > 0) {
    tableMap.comment = comment([
      '',
      'Not exposed, for they cannot be cached:',
      ...tables.refused.map(({ label, reason }) => `  ${label}: ${reason}`),
    ]);
  }
  document.comment = comment([...grants(contents), ...redisRules(contents), ...brokerRules(contents)]);
  return `${document.toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd()}\n`;
}

function defaultsOf(section: Section): Record<string, unknown> {
  return Object.fromEntries((SAID[section] ?? []).map((name) => [name, defaultOf(section, name)]));
}

function describeItems(map: YAMLMap, section: Section): void {
  const said = SAID[section];
  if (said === undefined) return;
  for (const item of map.items)
    (item.key as Node).commentBefore = comment(wrapped(describeSetting(section, keyOf(item))));
  const others = otherSettings(section, said);
  if (others.length > 0) map.comment = comment(others);
}

/** The key is written out, so that a later primary key does not change what an id means. */
function tableOf({ schema, deny }: FoundTable): Record<string, unknown> {
  const key = schema.key.map(({ column }) => column);
  return { key, ...(deny.length === 0 ? {} : { columns: { deny } }) };
}

function shapeTable(table: Pair, deny: readonly string[]): void {
  const settings = table.value as YAMLMap;
  (settings.get('key') as YAMLSeq).flow = true;
  if (deny.length === 0) return;
  (settings.getIn(['columns', 'deny']) as YAMLSeq).flow = true;
  const columns = settings.items.find((item) => keyOf(item) === 'columns') as Pair;
  (columns.key as Node).commentBefore = comment([
    'Suggested by name alone: see whether it is right, and whether other columns are secret.',
  ]);
}

function grants({ tables, account, newAccount, brokerUrl }: FileContents): string[] {
  const to = quoteAccount(account);
  const selects = (grantee: string) =>
    tables.usable.map(({ schema, deny }) => {
      const granted = schema.columns.filter(({ name }) => !deny.includes(name)).map(({ name }) => quoteName(name));
      const columns = deny.length === 0 ? '' : ` (${granted.join(', ')})`;
      return `  GRANT SELECT${columns} ON ${quoteTable(schema.name)} TO ${grantee};`;
    });
  const create = (grantee: string) => `  CREATE USER IF NOT EXISTS ${grantee} IDENTIFIED BY '…';`;
  const ofWorker = quoteAccount(account.replace(/@/, '_sync@'));
  return [
    'The least that the account in origin.url needs; to be run by an administrator of the server:',
    '',
    ...(newAccount ? [create(to)] : []),
    ...selects(to),
    ...(brokerUrl === undefined
      ? [
          `  -- for the sync worker, and for the gateway beside it`,
          `  GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${to};`,
        ]
      : [
          `  -- by the binlog's end the gateway proves what it reads`,
          `  GRANT REPLICATION CLIENT ON *.* TO ${to};`,
          '',
          'And an account of the sync worker’s own, which is sent the binlog; name it in sync.originUrl:',
          '',
          create(ofWorker),
          ...selects(ofWorker),
          `  GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${ofWorker};`,
        ]),
    ...(tables.usable.some(({ deny }) => deny.length > 0)
      ? ['', 'Where columns are listed, a column that is added to the table is served only once it is granted too.']
      : []),
  ];
}

/** One file serves both processes; which account each of them has, its environment says. */
function redisRules({ brokerUrl }: FileContents): string[] {
  const hasSync = brokerUrl !== undefined;
  return [
    '',
    'The least that an account of each Redis needs, for redis://${REDIS_USER}:${REDIS_PASSWORD}@host; with a keyPrefix, ~prefix*',
    'in the place of ~*, and with another database than 0, +select:',
    '',
    `  ${aclRule('ringfill_gateway', hasSync ? 'gateway' : 'gateway without sync', '', '…')}`,
    ...(hasSync ? [`  ${aclRule('ringfill_sync', 'sync worker', '', '…')}`] : []),
  ];
}

/** The sync worker's alone: the gateway does not speak with the broker. */
function brokerRules({ brokerUrl }: FileContents): string[] {
  if (brokerUrl === undefined) return [];
  const named = "'^ringfill\\..*'";
  return [
    '',
    'The least that the account in sync.broker.url needs (configure, write, read); with outlets, their exchange and',
    'subscribers have to be in all three:',
    '',
    `  rabbitmqctl set_permissions -p / ringfill ${named} '^(ringfill\\..*|amq\\.default)$' ${named}`,
  ];
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

/** At spaces, so that a line of prose can be read beside the settings. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < PROSE_WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function comment(lines: readonly string[]): string {
  return lines.map((line) => (line === '' ? '' : ` ${line}`)).join('\n');
}
