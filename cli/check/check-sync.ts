/**
 * What the sync worker will need of the origin: the binlog, whole and readable, and the right to read it. Nothing here
 * stops the gateway, so nothing here is more than a warning.
 */
import { codeOf, messageOf } from '../../shared/errors/errors.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import { formatTableName, quoteAccount, quoteName, quoteTable, quoteText } from '../../shared/origin/table-name.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import { cellText } from '../../shared/origin/cells.ts';
import { type CheckedOrigin, globalPrivileges } from './check-origin.ts';
import type { Finding } from './finding.ts';
import { isAtLeast, type SqlServer } from '../../shared/origin/server-version.ts';

const GROUP = 'origin, for sync';

interface Setting {
  readonly variable: string;
  readonly isRight: (value: string) => boolean;
  readonly wanted: string;
  readonly why: string;
  /** Only a restart changes it. */
  readonly fixed?: boolean;
  /** Servers without the variable have no such trap. */
  readonly optional?: boolean;
}

const SETTINGS: readonly Setting[] = [
  {
    variable: 'log_bin',
    isRight: (value) => value === 'ON',
    wanted: 'ON',
    why: 'Without a binlog there are no changes to follow; rows stay fresh by their TTL alone.',
    fixed: true,
  },
  {
    variable: 'server_id',
    isRight: (value) => Number(value) > 0,
    wanted: '1',
    why: 'A server without an id sends its binlog to nobody.',
  },
  {
    variable: 'binlog_format',
    isRight: (value) => value === 'ROW',
    wanted: 'ROW',
    why: 'Statements do not say which rows they changed.',
  },
  {
    variable: 'binlog_row_image',
    isRight: (value) => value === 'FULL',
    wanted: 'FULL',
    why: 'Columns that are not in the image would be read as NULL.',
  },
  {
    variable: 'binlog_row_metadata',
    isRight: (value) => value === 'FULL',
    wanted: 'FULL',
    why: 'Without column names, changes from before an ALTER TABLE end up under the wrong columns.',
  },
  {
    variable: 'binlog_row_value_options',
    isRight: (value) => value === '',
    wanted: '',
    why: 'Partial JSON updates carry a difference, not the row.',
    optional: true,
  },
  {
    variable: 'binlog_transaction_compression',
    isRight: (value) => value === 'OFF',
    wanted: 'OFF',
    why: 'Compressed transactions cannot be read by the sync worker.',
    optional: true,
  },
];

export async function checkSync(
  pool: OriginPool,
  origin: CheckedOrigin,
  schemas: ReadonlyMap<string, TableSchema>,
): Promise<Finding[]> {
  const findings = [
    ...(await checkSettings(pool, origin.server)),
    ...(await checkGrants(pool, origin)),
    ...(await checkFilters(pool, origin.server, schemas)),
    ...(await checkCascades(pool, origin.server, schemas)),
    ...uuidColumns(origin.server, schemas),
  ];
  return findings.map((finding) => ({ ...finding, neededFor: 'sync' }));
}

async function checkSettings(pool: OriginPool, server: SqlServer): Promise<Finding[]> {
  const names = SETTINGS.map(({ variable }) => quoteText(variable)).join(', ');
  const { rows } = await pool.query(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`);
  const values = new Map(rows.map((row) => [cellText(row[0]), cellText(row[1])]));
  const logs = values.get('log_bin') === 'ON';
  const findings: Finding[] = [];
  for (const { variable, isRight, wanted, why, fixed, optional } of SETTINGS) {
    const value = values.get(variable);
    if (value === undefined && optional === true) continue;
    if (value !== undefined && isRight(value)) {
      // What need not be there at all is worth a line only where it stands in the way.
      if (optional !== true) findings.push({ group: GROUP, requirement: variable, verdict: 'met', found: value });
      continue;
    }
    const line = variable === 'log_bin' ? 'log_bin = mysql-bin' : `${variable} = ${wanted}`;
    const inFile = `# in my.cnf, under [mysqld]: ${line}`;
    const literal = /^\d+$/.test(wanted) ? wanted : `'${wanted}'`;
    const persistent = server.flavour === 'mysql';
    const mend =
      fixed === true
        ? [inFile, '# and restart the server']
        : persistent
          ? [`SET PERSIST ${variable} = ${literal};`]
          : [`SET GLOBAL ${variable} = ${literal};`, inFile];
    const found =
      value === undefined
        ? 'this server does not know it'
        : `is ${value === '' ? 'empty' : value}, must be ${wanted === '' ? 'empty' : wanted}`;
    findings.push({
      group: GROUP,
      requirement: variable,
      verdict: logs || variable === 'log_bin' ? 'warning' : 'note',
      found,
      why,
      mend,
    });
  }
  return findings;
}

async function checkGrants(pool: OriginPool, { account }: CheckedOrigin): Promise<Finding[]> {
  const held = await globalPrivileges(pool, account);
  // MariaDB has its own name for the second since 10.5, and takes both.
  const wanted = [
    { grant: 'REPLICATION SLAVE', names: ['REPLICATION SLAVE'], why: 'The right to be sent the binlog.' },
    {
      grant: 'REPLICATION CLIENT',
      names: ['REPLICATION CLIENT', 'BINLOG MONITOR'],
      why: 'The right to ask where the binlog ends, by which a read is proved.',
    },
  ];
  return wanted.map(({ grant, names, why }): Finding => {
    const requirement = `grant ${grant}`;
    if (names.some((name) => held.has(name))) return { group: GROUP, requirement, verdict: 'met', found: 'granted' };
    const mend = [`GRANT ${grant} ON *.* TO ${quoteAccount(account)};`];
    return {
      group: GROUP,
      requirement,
      verdict: 'warning',
      found: `${quoteAccount(account)} does not have it, or by a role only`,
      why,
      mend,
    };
  });
}

async function checkFilters(
  pool: OriginPool,
  server: SqlServer,
  schemas: ReadonlyMap<string, TableSchema>,
): Promise<Finding[]> {
  const renamed = server.flavour === 'mysql' && isAtLeast(server.version, '8.2');
  let row: readonly (Buffer | null)[] | undefined;
  try {
    const { rows } = await pool.query(renamed ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS');
    row = rows[0];
  } catch (error) {
    // Not allowed to ask: the missing grant has its own line.
    if (codeOf(error) === 'ER_SPECIFIC_ACCESS_DENIED_ERROR') return [];
    return [{ group: GROUP, requirement: 'binlog filters', verdict: 'warning', found: messageOf(error) }];
  }
  if (row === undefined) return [];
  const [only, never] = [cellText(row[2]), cellText(row[3])].map((list) => list.split(',').filter((db) => db !== ''));
  const exposed = new Set([...schemas.values()].map(({ name }) => name.db));
  const hidden = [...exposed].filter(
    (db) => never?.includes(db) === true || (only !== undefined && only.length > 0 && !only.includes(db)),
  );
  if (hidden.length === 0)
    return [{ group: GROUP, requirement: 'binlog filters', verdict: 'met', found: 'none over the exposed databases' }];
  return [
    {
      group: GROUP,
      requirement: 'binlog filters',
      verdict: 'warning',
      found: `changes of ${hidden.join(', ')} are kept out of the binlog`,
      why: 'Those changes would never be heard of.',
      mend: ['# take binlog-do-db and binlog-ignore-db out of my.cnf, and restart the server'],
    },
  ];
}

/** InnoDB carries these out by itself: before MySQL 9.6, and in MariaDB, they are not in the binlog. */
async function checkCascades(
  pool: OriginPool,
  server: SqlServer,
  schemas: ReadonlyMap<string, TableSchema>,
): Promise<Finding[]> {
  if (server.flavour === 'mysql' && isAtLeast(server.version, '9.6')) return [];
  const findings: Finding[] = [];
  for (const [label, { name }] of schemas) {
    const requirement = `cascades into ${label}`;
    let definition: string;
    try {
      // information_schema shows foreign keys to those who may write; this, to those who may read.
      const { rows } = await pool.query(`SHOW CREATE TABLE ${quoteTable(name)}`);
      definition = cellText(rows[0]?.[1]);
    } catch {
      const found = 'not known: an account with column grants may not see the foreign keys';
      findings.push({ group: GROUP, requirement, verdict: 'note', found });
      continue;
    }
    const cascades = cascadesOf(definition);
    if (cascades.length === 0) continue;
    findings.push({
      group: GROUP,
      requirement,
      verdict: 'warning',
      found: cascades.map(({ parent, rules }) => `${rules} from ${parent}`).join(', '),
      why: 'Rows that change by a foreign key’s rule are not in the binlog; only the TTL makes them fresh again.',
      mend: [
        '-- let the application change these rows itself',
        ...cascades.flatMap(({ constraint, definition: key }) => [
          `ALTER TABLE ${quoteTable(name)} DROP FOREIGN KEY ${quoteName(constraint)};`,
          `ALTER TABLE ${quoteTable(name)} ADD CONSTRAINT ${quoteName(constraint)} ${key};`,
        ]),
        `# or bound how long they may be old: ttlSeconds under tables: ${label}`,
      ],
    });
  }
  return findings;
}

/** Since when MariaDB's UUIDs lie in the order in which they are written. */
const UUID_AS_WRITTEN: readonly { readonly series: string; readonly since: string }[] = [
  { series: '10.10', since: '10.10.6' },
  { series: '10.11', since: '10.11.5' },
];

/** Earlier ones reorder a UUID's bytes to store it, and so they stand in the binlog. */
export function uuidColumns(server: SqlServer, schemas: ReadonlyMap<string, TableSchema>): Finding[] {
  if (server.flavour !== 'mariadb' || !isAtLeast(server.version, '10.7')) return [];
  const own = UUID_AS_WRITTEN.find(
    ({ series }) => server.version === series || server.version.startsWith(`${series}.`),
  );
  if (isAtLeast(server.version, own?.since ?? '10.10.6')) return [];
  return [...schemas].flatMap(([label, { name, columns }]): Finding[] => {
    const uuids = columns.filter(({ dataType }) => dataType === 'uuid').map((column) => column.name);
    if (uuids.length === 0) return [];
    return [
      {
        group: GROUP,
        requirement: `UUIDs in ${label}`,
        verdict: 'warning',
        found: `${uuids.join(', ')}, in MariaDB ${server.version}`,
        why: 'Before 10.10.6 and 10.11.5 the binlog has a UUID’s bytes in another order, which ringfill was not tried with.',
        mend: [
          '# upgrade to MariaDB 10.11.5 or later, or leave them out',
          `# under tables: ${formatTableName(name)}: columns: { deny: [${uuids.join(', ')}] }`,
        ],
      },
    ];
  });
}

interface Cascade {
  readonly constraint: string;
  readonly parent: string;
  /** `ON DELETE CASCADE`. */
  readonly rules: string;
  /** The foreign key without its rules. */
  readonly definition: string;
}

const FOREIGN_KEY = /^\s+CONSTRAINT `((?:[^`]|``)+)` (FOREIGN KEY \(.+?\) REFERENCES (`.+?`) \(.+?\))(.*?),?$/gm;

/** Of `SHOW CREATE TABLE`. */
export function cascadesOf(definition: string): Cascade[] {
  return [...definition.matchAll(FOREIGN_KEY)].flatMap(([, constraint = '', key = '', parent = '', actions = '']) => {
    const rules = [...actions.matchAll(/ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|SET DEFAULT)/g)].map(([rule]) => rule);
    if (rules.length === 0) return [];
    return [
      {
        constraint: constraint.replaceAll('``', '`'),
        parent: parent.replaceAll('`', ''),
        rules: rules.join(' '),
        definition: key,
      },
    ];
  });
}
