/**
 * The configuration: every setting with its bounds, default and unit. This table is the published JSON schema
 * (ringfill.schema.json, by `npm run build`), the comments in what `ringfill init` writes, and the type of the code.
 */
import Type, { type Static } from 'typebox';
import { LOG_LEVELS } from '../telemetry/log.ts';

const closed = { additionalProperties: false } as const;

/** How many former definitions of a ring may be kept at once. */
export const FORMER_RINGS_MAX = 4;

export const ORIGIN_TIMEOUT_MS_MAX = 60_000;

const seconds = (description: string, defaultValue: number, maximum = 31_536_000) =>
  Type.Integer({ description: `${description} Seconds.`, default: defaultValue, minimum: 1, maximum });

const SentinelTls = Type.Object(
  {
    caFile: Type.Optional(
      Type.String({ minLength: 1, description: 'The authority that signed their certificates, PEM. Default: Node’s.' }),
    ),
    certFile: Type.Optional(
      Type.String({ minLength: 1, description: 'A certificate of ours, where they ask for one, PEM.' }),
    ),
    keyFile: Type.Optional(Type.String({ minLength: 1, description: 'Its private key, PEM.' })),
    servername: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'The name in all their certificates. Default: the host of each, as it is named here or by a Sentinel.',
      }),
    ),
  },
  {
    ...closed,
    description: 'TLS to the Sentinels and to the Redis servers that they name; {} where nothing is to be said.',
  },
);

const SentinelGroup = Type.Object(
  {
    sentinel: Type.Object(
      {
        group: Type.String({ minLength: 1, description: 'The name that the Sentinels know the group by.' }),
        sentinels: Type.Array(Type.String({ minLength: 1 }), {
          minItems: 1,
          description: 'host:port of each Sentinel.',
        }),
        username: Type.Optional(Type.String({ description: 'Of the Redis servers, where they have ACL users.' })),
        password: Type.Optional(Type.String({ description: 'Of the Redis servers; write ${NAME} or ${file:/path}.' })),
        db: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, description: 'Redis database number.' })),
        sentinelPassword: Type.Optional(Type.String({ description: 'Of the Sentinels themselves.' })),
        tls: Type.Optional(SentinelTls),
      },
      { ...closed, description: 'The group and the Sentinels that know its master.' },
    ),
  },
  { ...closed, description: 'A Redis that Sentinels watch over.' },
);

const ShardEndpoint = Type.Union(
  [
    Type.String({
      pattern: '^(redis|rediss|unix)://',
      description: 'redis://user:password@host:port/database; rediss:// for TLS (?ca=, ?cert=, ?key=); unix:///socket.',
    }),
    SentinelGroup,
  ],
  {
    description:
      'Where this shard is: redis://user:password@host:port/database, rediss:// for TLS, unix:///path, or {sentinel: {…}}.',
  },
);

const PLACEMENT_CHOICES = [Type.Literal('balanced'), Type.Literal('ketama')] as const;

const shardsOf = (description: string) =>
  Type.Record(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,64}$' }), ShardEndpoint, {
    ...closed,
    minProperties: 1,
    description,
  });

const FormerRing = Type.Object(
  {
    shards: shardsOf('The shards that it had then, each where it is now.'),
    placement: Type.Optional(
      Type.Union([...PLACEMENT_CHOICES], {
        default: 'balanced',
        description: 'How it placed keys then: balanced or ketama, as of a ring.',
      }),
    ),
    until: Type.Optional(
      Type.String({
        pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$',
        description:
          'From when on it may be dropped, as 2026-11-24T10:00:00Z: what was cached by it has expired then. ' +
          '`ringfill ring settle` drops it; nothing happens by itself.',
      }),
    ),
  },
  { ...closed, description: 'What the ring was before a change.' },
);

const Ring = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9._-]{1,64}$',
      description: 'Shown in Cache-Status, metrics and /-/ring.',
    }),
    placement: Type.Optional(
      Type.Union([...PLACEMENT_CHOICES], {
        default: 'balanced',
        description:
          'balanced: 8,000 points a shard, the busiest has at most 1.05 of its share. ' +
          'ketama: as twemproxy places keys with hash: md5, distribution: ketama; name the shards as twemproxy does.',
      }),
    ),
    shards: shardsOf(
      'The ring’s shards by name. The name is what is hashed: give it to the replacement of a lost server.',
    ),
    former: Type.Optional(
      Type.Array(FormerRing, {
        maxItems: FORMER_RINGS_MAX,
        description:
          'While the ring changes: what it was before, the newest first. Changes go on to reach the shards by these too, ' +
          'and what lies where they placed it stays usable. `ringfill ring add` and its like write this.',
      }),
    ),
  },
  { ...closed, description: 'A consistent-hash ring of Redis servers.' },
);

/** What can be said for all tables under `defaults`, and for one under its name. */
const TableSettings = {
  mode: Type.Union([Type.Literal('read-through'), Type.Literal('mirror')], {
    description:
      'read-through: rows are read from MySQL when they are missed, and cached. mirror: every row lies in Redis, written by ' +
      'the sync worker alone; readers never touch MySQL.',
    default: 'read-through',
  }),
  copies: Type.Integer({
    description:
      'How many layers hold each row. With 2, the next ring has what a lost Redis had: a mirror goes on answering, and a ' +
      'read-through table spares MySQL the rush, for twice the memory. Never more than there are rings. Default: 2 for a ' +
      'mirror, 1 for a read-through.',
    minimum: 1,
    maximum: 8,
  }),
  fallbackTtlSeconds: seconds(
    'How long a fallback ring keeps a row while it stands in for another ring (that is, past the table’s copies).',
    3_600,
  ),
  warmOneIn: Type.Integer({
    description:
      'One hit in so many, at random, copies the row into the next ring, so that what is read most is there already when ' +
      'its Redis is lost. 0: never.',
    default: 10,
    minimum: 0,
    maximum: 1_000_000,
  }),
  onIncomplete: Type.Union([Type.Literal('unavailable'), Type.Literal('origin')], {
    description:
      'Of a mirror: when no shard that answers can say whether there is such a row, such as before the first snapshot is ' +
      'through: answer 503, or ask MySQL.',
    default: 'unavailable',
  }),
  ttlSeconds: seconds('How long a row is served without asking MySQL again.', 300),
  softTtlSeconds: Type.Integer({
    description:
      'From this age on a row is read again in the background while it is served. Seconds; default: 80 % of ttlSeconds.',
    minimum: 1,
    maximum: 31_536_000,
  }),
  graceSeconds: Type.Integer({
    description: 'How long past its TTL a row may still be served while MySQL cannot be reached. Seconds; 0: never.',
    default: 3_600,
    minimum: 0,
    maximum: 31_536_000,
  }),
  negativeTtlSeconds: seconds('How long "no such row" is remembered.', 30),
  ttlJitterPercent: Type.Integer({
    description:
      'Each TTL is shortened by up to this much, at random, so that rows cached together do not expire together. Percent.',
    default: 10,
    minimum: 0,
    maximum: 90,
  }),
  rowBytesMax: Type.Integer({
    description: 'A larger row is served and not stored. Bytes of JSON.',
    default: 1_048_576,
    minimum: 1_024,
    maximum: 67_108_864,
  }),
  leaseWaitMs: Type.Integer({
    description:
      'How long to wait for another gateway that is filling the same row, before reading MySQL ourselves. Milliseconds.',
    default: 500,
    minimum: 0,
    maximum: 10_000,
  }),
  follow: Type.Boolean({
    description:
      'Whether the sync worker follows the table’s changes. Without sync, and without this, rows live by their TTL.',
    default: true,
  }),
  strategy: Type.Union([Type.Literal('overwrite'), Type.Literal('invalidate'), Type.Literal('refresh')], {
    description:
      'What a change does to a cached row: overwrite it with the new one, invalidate it, or refresh it by reading it from MySQL.',
    default: 'overwrite',
  }),
  onSyncLost: Type.Union([Type.Literal('serve'), Type.Literal('origin'), Type.Literal('unavailable')], {
    description:
      'While no shard has heard of the changes lately: serve what is there, by ttlSeconds; ask the origin; or answer 503.',
    default: 'serve',
  }),
  followedTtlSeconds: seconds(
    'How long a row is kept while its changes are followed: a backstop for changes that never reach the binlog.',
    86_400,
  ),
  near: Type.Boolean({
    description: 'Where the gateway has a nearCache: whether rows of this read-through table may be in it.',
    default: true,
  }),
};

/** The same for one table, none required; without defaults, or they would hide those under `defaults`. */
const OwnTableSettings = Type.Partial(Type.Object(TableSettings)).properties;
for (const setting of Object.values(OwnTableSettings)) Reflect.deleteProperty(setting, 'default');

const names = (description: string) => Type.Array(Type.String({ minLength: 1 }), { description, uniqueItems: true });

const Table = Type.Object(
  {
    key: Type.Optional(names('The columns that identify a row, in the order of the id. Default: the primary key.')),
    columns: Type.Optional(
      Type.Object(
        {
          allow: Type.Optional(names('Only these columns are read (key columns always are).')),
          deny: Type.Optional(names('These columns are never read.')),
        },
        { ...closed, maxProperties: 1, description: 'Either allow or deny; default: every column.' },
      ),
    ),
    shard: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Of a mirror: all rows lie in this shard alone, whatever their key (one table, one Redis).',
      }),
    ),
    ...OwnTableSettings,
  },
  {
    ...closed,
    description: 'One table: its key, its columns, and settings of its own; {} if there is nothing to say.',
  },
);

/** Of an event's routing key, which ends with one of these. */
const EVENT_TYPES = ['INSERT', 'UPDATE', 'DELETE', 'RELOAD'] as const;

const Subscriber = Type.Object(
  {
    tables: Type.Optional(names('Only events of these tables, as db.table. Default: of all that are told.')),
    events: Type.Optional(
      Type.Array(
        Type.Union(
          EVENT_TYPES.map((type) => Type.Literal(type)),
          { description: 'INSERT, UPDATE, DELETE or RELOAD.' },
        ),
        {
          minItems: 1,
          uniqueItems: true,
          description:
            'Only these events. Without RELOAD nothing tells when a table has to be read again. Default: all.',
        },
      ),
    ),
    queueType: Type.Union([Type.Literal('plain'), Type.Literal('classic'), Type.Literal('quorum')], {
      default: 'plain',
      description:
        'plain: a durable queue without arguments, as a consumer declares it that knows nothing of ringfill; the sync ' +
        'worker itself drops the oldest events past backlogEventsMax. classic, quorum: the broker does; a consumer must ' +
        'not declare such a queue, or only with the same arguments.',
    }),
    backlogEventsMax: Type.Integer({
      default: 1_000_000,
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'The most events that may wait for the subscriber. Past it the oldest are dropped.',
    }),
    backlogMebibytesMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_048_576,
        description:
          'Of a classic or quorum queue: the most that may wait. Past it the oldest are dropped. MiB. Default: that of ' +
          'sync.broker.',
      }),
    ),
  },
  { ...closed, description: 'A queue of this name for one subscriber; {} for every event.' },
);

const FilesOutlet = Type.Object(
  {
    folder: Type.String({
      minLength: 1,
      description: 'Where binlog_<period>.log files are written, one event a line; made if it is not there.',
    }),
    period: Type.Union(
      ['year', 'month', 'day', 'hour', 'minute'].map((period) => Type.Literal(period)),
      { default: 'day', description: 'What one file holds: a year, month, day, hour or minute, in UTC.' },
    ),
    fileMebibytesMax: Type.Integer({
      default: 1_024,
      minimum: 1,
      maximum: 1_048_576,
      description: 'A file that is larger is followed by another of the same period, binlog_<period>.1.log. MiB.',
    }),
    keepDays: Type.Integer({
      default: 30,
      minimum: 1,
      maximum: 36_500,
      description: 'Files whose period ended earlier are deleted. Days.',
    }),
    keepFiles: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'The most files that are kept; the oldest are deleted. Default: no such bound.',
      }),
    ),
    keepMebibytes: Type.Integer({
      default: 10_240,
      minimum: 1,
      maximum: 1_073_741_824,
      description: 'The most that all files may take; the oldest are deleted. MiB.',
    }),
  },
  { ...closed, description: 'Every event as a line of a file; `ringfill replay` reads such a file back in.' },
);

const RedisOutlet = Type.Object(
  {
    url: Type.String({
      pattern: '^(redis|rediss|unix)://',
      description: 'Where this Redis is, written as a shard’s. It should be none that evicts keys.',
    }),
    kind: Type.Union([Type.Literal('list'), Type.Literal('stream')], {
      default: 'list',
      description: 'list: RPUSH of each event, for LPOP. stream: XADD of each, as the field event.',
    }),
    key: Type.String({
      default: 'canal_binlog_data',
      minLength: 1,
      maxLength: 512,
      description: 'The list’s or stream’s key.',
    }),
    lengthMax: Type.Integer({
      default: 1_000_000,
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'The most events that it may hold. Past it the oldest are dropped.',
    }),
  },
  { ...closed, description: 'Every event in a Redis list or stream.' },
);

const Outlets = Type.Object(
  {
    tables: Type.Optional(names('Whose changes are told, as db.table. Default: all tables that are followed.')),
    exchange: Type.String({
      default: 'ringfill.changes',
      pattern: '^(?!amq\\.)[A-Za-z0-9._:-]{1,127}$',
      description: 'The topic exchange that events are published to, under db.table.EVENT.',
    }),
    nulls: Type.Union([Type.Literal('null'), Type.Literal('empty')], {
      default: 'null',
      description: 'How NULL is told: null, or as canal tells it, an empty text.',
    }),
    subscribers: Type.Record(Type.String({ pattern: '^(?!ringfill\\.|amq\\.)[A-Za-z0-9._:-]{1,200}$' }), Subscriber, {
      ...closed,
      default: {},
      description: 'Queues of RabbitMQ by name, each with every event: canal_binlog_data: {}.',
    }),
    files: Type.Optional(FilesOutlet),
    redis: Type.Optional(RedisOutlet),
  },
  { ...closed, description: 'Row changes for others, as JSON: through RabbitMQ, into files, into a Redis.' },
);

const RateLimit = (description: string) =>
  Type.Optional(
    Type.Object(
      {
        rowsPerSecond: Type.Integer({
          minimum: 1,
          maximum: 10_000_000,
          description: 'How many rows a second, in the long run. Each id of a batch counts.',
        }),
        burstRows: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 10_000_000,
            description: 'How many rows at once, after a pause. Default: rowsPerSecond.',
          }),
        ),
      },
      { ...closed, description },
    ),
  );

/** Of `http`: how much it takes, from whom, and by which certificate. */
const ListenerSettings = {
  publicWithoutAuthentication: Type.Boolean({
    default: false,
    description:
      'Whether a host other than loopback may be listened on though no access is configured: whoever reaches the port ' +
      'reads every exposed row then.',
  }),
  tls: Type.Optional(
    Type.Object(
      {
        certFile: Type.String({
          minLength: 1,
          description: 'The certificate and those of its issuers, PEM. Read again when it changes, and at SIGHUP.',
        }),
        keyFile: Type.String({ minLength: 1, description: 'Its private key, PEM.' }),
      },
      { ...closed, description: 'HTTPS instead of HTTP, TLS 1.2 or later; of the sync worker’s port too.' },
    ),
  ),
  connectionsMax: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'The most connections; those beyond it are closed as they come.',
  }),
  receiveTimeoutMs: Type.Integer({
    default: 10_000,
    minimum: 100,
    maximum: 600_000,
    description:
      'How long a request may take to arrive, from the connection or its first byte on; then 408, and the connection is ' +
      'closed. Milliseconds.',
  }),
  keepAliveTimeoutMs: Type.Integer({
    default: 72_000,
    minimum: 100,
    maximum: 3_600_000,
    description: 'How long a connection is kept open for the next request. Longer than a proxy keeps it. Milliseconds.',
  }),
  sendTimeoutMs: Type.Integer({
    default: 30_000,
    minimum: 1_000,
    maximum: 600_000,
    description:
      'A client that takes less than 1 KiB a second of what waits for it is cut off after this long. Milliseconds.',
  }),
  unsentMebibytesMax: Type.Integer({
    default: 256,
    minimum: 1,
    maximum: 65_536,
    description:
      'The most that may wait for clients to read it, of all connections together. Past it those for which most waits are ' +
      'cut off. MiB.',
  }),
  limitPerAddress: RateLimit('What one client address may read; 429 beyond it. Of IPv6, a /64. Default: no limit.'),
  trustedProxies: Type.Array(Type.String({ minLength: 1 }), {
    default: [],
    maxItems: 1_000,
    description:
      'Proxies in front, as addresses or as 10.0.0.0/8, whose X-Forwarded-For tells the client’s address. Nobody else’s is ' +
      'believed.',
  }),
};

const Access = Type.Object(
  {
    keysFile: Type.String({
      minLength: 1,
      description:
        'The file of API keys, as `ringfill key create` writes it. Read again when it changes, and at SIGHUP.',
    }),
    publicOperations: Type.Boolean({
      default: false,
      description:
        'Whether /-/metrics, /-/ring, /-/docs and the like are answered without a key too. /-/live and /-/ready always are.',
    }),
    limitPerKey: RateLimit('What one key may read; 429 beyond it. Default: no limit.'),
  },
  {
    ...closed,
    description: 'Rows are only for those who send an API key. Without it, for everybody who reaches the port.',
  },
);

export const ConfigSchema = Type.Object(
  {
    $schema: Type.Optional(Type.String({ description: 'Where this schema is, for editors.' })),
    http: Type.Object(
      {
        host: Type.String({
          default: '127.0.0.1',
          description: 'The address to listen on; loopback unless told otherwise.',
        }),
        port: Type.Integer({ default: 8080, minimum: 0, maximum: 65_535, description: 'TCP port; 0: any free one.' }),
        drainMs: Type.Integer({
          default: 0,
          minimum: 0,
          maximum: 600_000,
          description:
            'When it is told to stop: how long it goes on serving while /-/ready says no. Longer than the interval at ' +
            'which a load balancer asks. Milliseconds.',
        }),
        stopTimeoutMs: Type.Integer({
          default: 5_000,
          minimum: 0,
          maximum: 600_000,
          description:
            'Then: how long requests under way may take to end before their connections are closed. Milliseconds.',
        }),
        ...ListenerSettings,
      },
      { ...closed, default: {}, description: 'Where applications reach the gateway.' },
    ),
    access: Type.Optional(Access),
    origin: Type.Object(
      {
        url: Type.String({
          pattern: '^mysql://',
          description:
            'mysql://user:password@host:port of the primary. TLS as in MySQL’s own URLs: ?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path. ' +
            'A socket: ?socket=/path. Write the password as ${NAME} or ${file:/path}.',
        }),
        replicas: Type.Array(Type.String({ pattern: '^mysql://' }), {
          default: [],
          maxItems: 16,
          description:
            'Replicas of it, as in url. Misses of followed tables are read from one of them where its GTIDs prove that it is ' +
            'not behind; else from the primary.',
        }),
        replicaWaitMs: Type.Integer({
          default: 20,
          minimum: 0,
          maximum: 1_000,
          description: 'How long a replica that is behind is waited for. Milliseconds.',
        }),
        connections: Type.Integer({
          default: 4,
          minimum: 1,
          maximum: 256,
          description: 'The most reads that run at once.',
        }),
        timeoutMs: Type.Integer({
          default: 2_000,
          minimum: 50,
          maximum: ORIGIN_TIMEOUT_MS_MAX,
          description: 'The longest that one read may take. Milliseconds.',
        }),
        waitingMax: Type.Integer({
          default: 10_000,
          minimum: 1,
          maximum: 1_000_000,
          description: 'The most rows that may wait for a connection; beyond it requests get 503 with Retry-After.',
        }),
        batchRowsMax: Type.Integer({
          default: 256,
          minimum: 1,
          maximum: 10_000,
          description: 'The most rows of one table in one SELECT.',
        }),
        schemaReloadSeconds: seconds('How often the tables’ columns are looked up again.', 60, 86_400),
      },
      { ...closed, description: 'The MySQL or MariaDB that the rows come from.' },
    ),
    shards: Type.Object(
      {
        timeoutMs: Type.Integer({
          default: 250,
          minimum: 5,
          maximum: 10_000,
          description: 'The longest that one Redis command may take before the next layer is asked. Milliseconds.',
        }),
        failuresToOpen: Type.Integer({
          default: 3,
          minimum: 1,
          maximum: 1_000,
          description:
            'Late or failed commands in a row that take a shard out of use; a closed connection does at once.',
        }),
        refillSeconds: seconds(
          'For how long, after a shard has lost what it held, misses there look into the next ring before MySQL is asked.',
          600,
        ),
        slowMs: Type.Integer({
          default: 100,
          minimum: 0,
          maximum: 10_000,
          description:
            'A shard whose answers take longer for most of half a second is out of use until it is quick again; never more ' +
            'than half of all shards. Far above a round trip, below timeoutMs. Milliseconds; 0: off.',
        }),
      },
      { ...closed, default: {}, description: 'What holds for every Redis.' },
    ),
    rings: Type.Array(Ring, {
      minItems: 1,
      maxItems: 8,
      description: 'In order: the primary ring, the first fallback, the second…',
    }),
    nearCache: Type.Optional(
      Type.Object(
        {
          mebibytes: Type.Integer({
            minimum: 1,
            maximum: 65_536,
            description: 'The most memory that it may take in each gateway process; for a while more at a reload. MiB.',
          }),
        },
        {
          ...closed,
          description:
            'The rows that are read most, in the gateway’s own memory: answered without asking Redis, which tells what has ' +
            'changed. No older than any other answer. Absent: off.',
        },
      ),
    ),
    keyPrefix: Type.String({
      default: '',
      pattern: '^[A-Za-z0-9._:{}-]{0,64}$',
      description: 'In front of every key, for a Redis that others use too.',
    }),
    defaults: Type.Object(
      {
        ...TableSettings,
        copies: Type.Optional(TableSettings.copies),
        softTtlSeconds: Type.Optional(TableSettings.softTtlSeconds),
      },
      {
        ...closed,
        default: {},
        description: 'Settings of every table that does not say otherwise.',
      },
    ),
    tables: Type.Record(Type.String({ pattern: '^[^.]+\\.[^.]+$' }), Table, {
      ...closed,
      minProperties: 1,
      description: 'The exposed tables, as db.table. Nothing else can be read.',
    }),
    sync: Type.Optional(
      Type.Object(
        {
          name: Type.String({
            default: 'ringfill',
            pattern: '^[A-Za-z0-9._-]{1,64}$',
            description:
              'Of this installation: in the names of its queues and of its lock. Two installations on one broker or one ' +
              'MySQL need two names.',
          }),
          broker: Type.Object(
            {
              url: Type.String({
                pattern: '^amqps?://',
                description: 'amqp://user:password@host:port/vhost of RabbitMQ; amqps:// for TLS.',
              }),
              queueType: Type.Union([Type.Literal('quorum'), Type.Literal('classic')], {
                default: 'quorum',
                description: 'quorum: replicated where the broker has several nodes; classic: on one node.',
              }),
              backlogMebibytesMax: Type.Integer({
                default: 1_024,
                minimum: 1,
                maximum: 1_048_576,
                description:
                  'The most that a shard’s queue may hold while the shard is away. Past it the oldest changes are dropped, ' +
                  'and what the shard holds counts as absent when it returns. MiB.',
              }),
            },
            { ...closed, description: 'The RabbitMQ between capture and the shards.' },
          ),
          stateFolder: Type.String({
            default: '.ringfill-state',
            minLength: 1,
            description:
              'Where the sync worker keeps its checkpoint, and spills transactions that are too large for memory.',
          }),
          originUrl: Type.Optional(
            Type.String({
              pattern: '^mysql://',
              description: 'Another account for following the binlog, as in origin.url; default: origin.url.',
            }),
          ),
          serverId: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 4_294_967_295,
              description:
                'By which MySQL knows this replica; two readers with one id evict each other. Default: made of name.',
            }),
          ),
          heartbeatMs: Type.Integer({
            default: 500,
            minimum: 50,
            maximum: 10_000,
            description: 'How often every shard is told up to when it knows all changes. Milliseconds.',
          }),
          stalenessBoundMs: Type.Integer({
            default: 2_000,
            minimum: 200,
            maximum: 600_000,
            description:
              'A shard that has not heard of the changes for longer is not believed. An answer is never older than this, one ' +
              'heartbeat and the difference between clocks. Milliseconds.',
          }),
          writeWaitMs: Type.Integer({
            default: 100,
            minimum: 0,
            maximum: 10_000,
            description:
              'How long a read with Ringfill-After waits for its client’s own write to reach the shard, before it asks the ' +
              'origin. Milliseconds.',
          }),
          snapshot: Type.Object(
            {
              rowsPerSecond: Type.Integer({
                default: 20_000,
                minimum: 1,
                maximum: 10_000_000,
                description: 'The most rows that a snapshot of a mirror reads in a second; fewer while MySQL is slow.',
              }),
            },
            { ...closed, default: {}, description: 'How mirrors are filled.' },
          ),
          audit: Type.Object(
            {
              rowsPerSecond: Type.Integer({
                default: 20,
                minimum: 0,
                maximum: 100_000,
                description:
                  'How many rows the sync worker compares with MySQL in a second, on and on, through all followed tables; 0: none. ' +
                  'What is wrong is in its log and metrics, and left as it is.',
              }),
            },
            { ...closed, default: {}, description: 'Whether the shards hold what MySQL says.' },
          ),
          port: Type.Integer({
            default: 8081,
            minimum: 0,
            maximum: 65_535,
            description:
              'Where the sync worker answers /-/live, /-/ready, /-/metrics and /-/status, on http.host and for whom access says; ' +
              '0: any free one.',
          }),
          outlets: Type.Optional(Outlets),
        },
        { ...closed, description: 'Following the binlog. Without it rows are as old as their TTL allows.' },
      ),
    ),
    log: Type.Object(
      {
        level: Type.Union(
          LOG_LEVELS.map((level) => Type.Literal(level)),
          { default: 'info', description: 'debug also logs every request.' },
        ),
      },
      { ...closed, default: {}, description: 'JSON lines on standard error; on a terminal, readable ones.' },
    ),
  },
  { ...closed, title: 'ringfill configuration' },
);

export type Config = Static<typeof ConfigSchema>;
export type TableConfig = Config['tables'][string];
export type RingConfig = Config['rings'][number];
export type FormerRingConfig = NonNullable<RingConfig['former']>[number];
export type RateLimitConfig = NonNullable<Config['http']['limitPerAddress']>;
export type SyncConfig = NonNullable<Config['sync']>;
export type OutletsConfig = NonNullable<SyncConfig['outlets']>;
export type SubscriberConfig = OutletsConfig['subscribers'][string];
