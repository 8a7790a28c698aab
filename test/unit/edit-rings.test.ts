/** A configuration file's rings, changed in its text: what is said is what was meant, and the rest stays as it was. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseDocument } from 'yaml';
import { UneditableText, withRings, writtenRings } from '../../cli/ring/edit-rings.ts';
import { unifiedDiff, withoutSecrets } from '../../cli/ring/text-diff.ts';
import { secretIn } from '../../cli/ring/written-secret.ts';
import type { RingConfig } from '../../shared/config/schema.ts';

const FILE = `# ours
origin: {url: 'mysql://ringfill:\${PW}@db'}   # the primary
rings:

  - name: primary   # first
    # by rack
    shards: # hashed by name
      r1: redis://:\${PW}@a   # rack 1

      # rack 2 has power of its own
      r2: "redis://:\${PW}@b"
      # r3 comes in spring
  - name: fallback
    shards: {f1: redis://c, f2: redis://d} # small
tables:
    shop.orders:   {}
`;

function change(text: string, to: (rings: readonly RingConfig[]) => readonly RingConfig[]): string {
  return withRings(text, to(writtenRings(text)));
}

const first =
  (to: (ring: RingConfig) => RingConfig) =>
  ([ring, ...others]: readonly RingConfig[]): readonly RingConfig[] => [to(ring as RingConfig), ...others];

test('a shard more, and what the ring was', () => {
  const edited = change(
    FILE,
    first((ring) => ({
      ...ring,
      shards: { ...ring.shards, r3: 'redis://:${PW}@e' },
      former: [{ shards: ring.shards, until: '2026-11-24T10:00:00Z' }],
    })),
  );
  const added = `      r3: redis://:\${PW}@e
      # r3 comes in spring
    former:
      - shards:
          r1: redis://:\${PW}@a
          r2: redis://:\${PW}@b
        until: 2026-11-24T10:00:00Z
`;
  assert.equal(edited, FILE.replace('      # r3 comes in spring\n', added));
});

test('a shard fewer, and another address, take nothing else with them', () => {
  const without = change(
    FILE,
    first(({ shards: { r1 }, ...ring }) => ({ ...ring, shards: { r1: r1 as string } })),
  );
  assert.equal(without, FILE.replace(/\n {6}# rack 2.*\n.*@b"\n/, ''));
  const elsewhere = change(
    FILE,
    first((ring) => ({ ...ring, shards: { ...ring.shards, r2: 'redis://:${PW}@z' } })),
  );
  assert.equal(elsewhere, FILE.replace('}@b', '}@z'));
});

test('{…} stays {…}', () => {
  const edited = change(FILE, ([ring, fallback]) => [
    ring as RingConfig,
    {
      ...(fallback as RingConfig),
      shards: { f1: 'redis://c', f3: 'redis://:${PW}@e' },
      former: [{ shards: { f1: 'redis://c' } }],
    },
  ]);
  assert.equal(
    edited,
    FILE.replace(
      'f2: redis://d} # small\n',
      `f3: "redis://:\${PW}@e"} # small\n    former:\n      - shards: {f1: redis://c}\n`,
    ),
  );
});

test('adding and taking back leaves the file as it was, byte for byte', () => {
  for (const text of [FILE, FILE.replaceAll('\n', '\r\n'), FILE.replaceAll(/^ {2}(?= *-| {2})/gm, '').trimEnd()]) {
    const rings = writtenRings(text);
    const edited = change(
      text,
      first((ring) => ({
        ...ring,
        shards: { ...ring.shards, r3: 'redis://e' },
        former: [{ shards: ring.shards, placement: 'ketama' }, { shards: { r1: 'redis://:${PW}@a' } }],
      })),
    );
    assert.notEqual(edited, text);
    assert.equal(edited.includes('\r'), text.includes('\r'));
    assert.doesNotMatch(edited.replaceAll('\r\n', ''), text.includes('\r') ? /\n/ : /\r/);
    assert.equal(withRings(edited, rings), text);
  }
});

test('a list that is not indented, and former definitions that go one by one', () => {
  const text = `rings:
- name: primary
  shards:
    r1: redis://a
  former:
  # the newest
  - shards: {r2: redis://b}
    until: 2026-11-24T10:00:00Z

  # the oldest
  - shards:
      r3: redis://c # away in spring
tables: {}
`;
  const [ring] = writtenRings(text) as [RingConfig];
  const [newest, oldest] = ring.former ?? [];
  assert.ok(newest && oldest);
  const none = `rings:\n- name: primary\n  shards:\n    r1: redis://a\ntables: {}\n`;
  const { former: _, ...settled } = ring;
  assert.equal(withRings(text, [settled]), none);
  assert.equal(
    withRings(text, [{ ...ring, former: [newest] }]),
    none.replace(
      'tables',
      '  former:\n  # the newest\n  - shards: {r2: redis://b}\n    until: 2026-11-24T10:00:00Z\ntables',
    ),
  );
  const last = withRings(text, [{ ...ring, former: [oldest] }]);
  assert.match(last, /# the oldest\n {2}- shards:\n {6}r3: redis:\/\/c # away in spring\ntables/);
  assert.doesNotMatch(last, /r2/);
  assert.match(last, /former:\n {2}# the newest\n/, 'above the first one a comment is of the list');
});

test('JSON stays JSON, with its indentation', () => {
  const rings = [{ name: 'primary', shards: { r1: 'redis://:${PW}@a' } }];
  const more = [{ name: 'primary', shards: { r1: 'redis://:${PW}@a', r2: 'redis://b' } }];
  for (const [indent, end] of [
    [undefined, ''],
    [2, '\n'],
    ['\t', '\n'],
  ] as const) {
    const text = JSON.stringify({ $schema: 'x', rings, tables: {} }, undefined, indent) + end;
    assert.equal(
      withRings(text, more),
      JSON.stringify({ $schema: 'x', rings: more, tables: {} }, undefined, indent) + end,
    );
  }
});

describe('written in another way', () => {
  const more = first((ring) => ({ ...ring, shards: { ...ring.shards, r2: 'redis://b' } }));
  for (const [claim, text] of [
    ['all in one line', "rings: [{name: primary, shards: {r1: 'redis://a'}}] # one\n"],
    [
      'JSON with comments',
      '{\n  "rings": [ // not a YAML comment\n  ]\n}\n'.replace(
        '// not a YAML comment',
        '{"name": "p", "shards": {"r1": "redis://a"}} # c\n',
      ),
    ],
    ['an address by alias', 'x: &a redis://a\nrings:\n  - name: p\n    shards:\n      r1: *a\n'],
    ['shards by alias', 'x: &s {r1: redis://a}\nrings:\n  - name: p\n    shards: *s\ntables: {}\n'],
    [
      'a Sentinel group',
      'rings:\n  - name: p\n    shards:\n      r1:\n        sentinel:\n          group: g\n          sentinels: ["h:1"]\n',
    ],
    ['no line end at the end', 'rings:\n  - name: p\n    shards:\n      r1: redis://a'],
    ['shards before the name', 'rings:\n  - shards:\n      r1: redis://a\n    name: p\n'],
    ['an explicit key', 'rings:\n  - name: p\n    shards:\n      ? r1\n      : redis://a\n'],
  ] as const) {
    test(`${claim}: says what was meant`, () => {
      const edited = change(text, more);
      assert.equal(writtenRings(edited)[0]?.shards['r2'], 'redis://b');
      assert.equal(Object.keys(writtenRings(edited)[0]?.shards ?? {}).length, 2);
    });
  }

  test('rings by alias: refused, and not half changed', () => {
    const text = 'x: &r\n  - name: p\n    shards: {r1: redis://a}\nrings: *r\n';
    assert.throws(() => change(text, more), UneditableText);
  });
});

/** Any layout of one ring, with comments that are told apart, between other parts of a file. */
const layout = fc
  .record({
    names: fc.uniqueArray(fc.stringMatching(/^[a-z0-9._:-]{1,8}$/), { minLength: 2, maxLength: 6 }),
    formers: fc.nat(3),
    step: fc.constantFrom(2, 4),
    dash: fc.constantFrom('', '  '),
    isFlow: fc.boolean(),
    quote: fc.constantFrom('', "'", '"'),
    lineEnd: fc.constantFrom('\n', '\r\n'),
    noise: fc.array(fc.constantFrom('', ' # C', '   # C', '\n# C', '\n'), { minLength: 8, maxLength: 8 }),
  })
  .map(({ names, formers, step, dash, isFlow, quote, lineEnd, noise }) => {
    let number = 0;
    // A comment of its own line stands where the lines around it stand.
    const some = (indent: string) =>
      (noise[(number += 1) % noise.length] as string)
        .replace('C', () => `comment ${number}.`)
        .replace('\n#', `\n${indent}#`);
    const url = (name: string) => `${quote}redis://:\${PW}@h${names.indexOf(name)}${quote}`;
    const key = (name: string) => (/^[a-z][a-z0-9._-]*$/.test(name) ? name : `"${name}"`);
    const inner = `${dash}  `;
    const shardsText = (of: readonly string[], indent: string, comments: boolean) => {
      if (isFlow)
        return ` { ${of.map((name) => `${key(name)}: "redis://:\${PW}@h${names.indexOf(name)}"`).join(', ')} }`;
      const deeper = indent + ' '.repeat(step);
      return of.map((name) => `\n${deeper}${key(name)}: ${url(name)}${comments ? some(deeper) : ''}`).join('');
    };
    const past = Array.from({ length: formers }, (_, index) => names.slice(0, index + 1).concat(`x${index}`));
    const formerText =
      past.length === 0
        ? ''
        : `\n${inner}former:${past.map((of) => `\n${inner}${dash}- shards:${shardsText(of, `${inner}${dash}  `, false)}`).join('')}`;
    const text = `# head\nkeep:   [ a,b ]${some('')}\nrings:${some(dash)}\n${dash}- name: p${some(inner)}\n${inner}shards:${shardsText(names, inner, true)}${formerText}\n${dash}- name: q\n${inner}shards: {q1: redis://q}   # tail\nend:   'of it'\n`;
    return { names, text: text.replaceAll('\n', lineEnd) };
  });

test('any layout, any change: it says so, other lines stay as they were, and comments of what stays are kept', () => {
  fc.assert(
    fc.property(layout, fc.constantFrom('add', 'remove', 'replace', 'roll', 'settle'), ({ names, text }, kind) => {
      const rings = writtenRings(text);
      const [ring, other] = rings as [RingConfig, RingConfig];
      const gone = names.at(-1) as string;
      const fewer = Object.fromEntries(Object.entries(ring.shards).filter(([name]) => name !== gone));
      const { former = [], ...bare } = ring;
      const wanted: Readonly<Record<typeof kind, RingConfig>> = {
        add: { ...ring, shards: { ...ring.shards, new: 'redis://:${PW}@new' } },
        remove: { ...ring, shards: fewer },
        replace: { ...ring, shards: { ...ring.shards, [gone]: 'redis://:${PW}@new' } },
        roll: {
          ...ring,
          former: [{ shards: ring.shards, placement: 'ketama', until: '2026-11-24T10:00:00Z' }, ...former],
        },
        settle: former.length > 1 ? { ...bare, former: former.slice(0, -1) } : bare,
      };
      const edited = withRings(text, [wanted[kind], other]);
      assert.deepEqual(writtenRings(edited), [wanted[kind], other]);
      assert.equal(parseDocument(edited).errors.length, 0);

      const lines = edited.split(/\r?\n/);
      for (const line of ['# head', "end:   'of it'"]) assert.ok(lines.includes(line), edited);
      assert.match(edited, /^keep: {3}\[ a,b \]/m);
      assert.match(edited, /shards: \{q1: redis:\/\/q\} {3}# tail$/m);
      if (kind !== 'remove') {
        for (const [comment] of text.matchAll(/comment \d+\./g))
          assert.ok(edited.includes(comment), `${comment} of ${edited}`);
      }
      if (kind === 'add' || kind === 'roll') {
        // Those of former definitions may stand deeper than they did.
        const trimmed = new Set(lines.map((line) => line.trim()));
        const old = text.split(/\r?\n/).filter((line) => !line.includes('{ '));
        for (const line of old) assert.ok(trimmed.has(line.trim()), `${line} of ${edited}`);
      }
    }),
    { numRuns: 500 },
  );
});

test('a diff shows the lines around a change, and no password', () => {
  const before = ['a', 'b', 'c', 'd', 'r1: redis://user:hunter2@h', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm'];
  const after = before.map((line) => (line === 'f' ? 'F: redis://:${PW}@h' : line)).concat('password: "hunter2"');
  const diff = unifiedDiff('ringfill.yml', before.join('\n'), after.join('\n'));
  assert.equal(
    diff,
    [
      '--- ringfill.yml',
      '+++ ringfill.yml',
      '@@ -3,7 +3,7 @@',
      ' c',
      ' d',
      ' r1: redis://user:***@h',
      '-f',
      '+F: redis://:${PW}@h',
      ' g',
      ' h',
      ' i',
      '@@ -11,3 +11,4 @@',
      ' k',
      ' l',
      ' m',
      '+password: ***',
      '',
    ].join('\n'),
  );
  assert.equal(unifiedDiff('x', 'a\n', 'a\n'), '');
  for (const line of [
    "{sentinelPassword: 'hunter2, and more', db: 1}",
    'x: {r1: redis://:hunter2@a, r2: redis://u:hunter2@b}',
    '"password":"hunter2"',
    '{"a":"redis://u:${PW}@h:1","b":"redis://u:hunter2@h:1","c":"redis://u:${PW}@h"}',
    'a: redis://u:hunter2${PW}@h',
    `a: redis://u:hun"hunter2'@h@h`,
    'password: hunter2${PW}',
  ]) {
    assert.doesNotMatch(withoutSecrets(line), /hunter2/);
  }
});

test('a URL with a secret’s value is told from one with its name', () => {
  const file = 'a: redis://:${PW}@h\nb: $${NONE}\nc: ${OTHER:-known}\n';
  const env = { PW: 'p@ss/wörd' };
  const kindOf = (url: string) => secretIn(url, file, env);
  assert.deepEqual(kindOf('redis://h'), { kind: 'none' });
  assert.deepEqual(kindOf('redis://user@h'), { kind: 'none' });
  assert.deepEqual(kindOf('redis://u:${PW}@h'), { kind: 'none' });
  assert.deepEqual(kindOf('redis://u:${file:/run/secrets/x}@h'), { kind: 'none' });
  assert.deepEqual(kindOf('redis://:hunter2@h'), { kind: 'literal' });
  assert.deepEqual(kindOf('redis://:$hunter2@h'), { kind: 'literal' });
  assert.deepEqual(kindOf(`redis://:${encodeURIComponent(env.PW)}@h`), { kind: 'expanded', reference: '${PW}' });
  assert.deepEqual(kindOf('rediss://u:known@h'), { kind: 'expanded', reference: '${OTHER:-known}' });
});
