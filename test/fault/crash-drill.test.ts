/**
 * The crash drill: the sync worker, the broker, a shard or MySQL is killed at a named point, under random transactions;
 * then every entry of every shard is compared with MySQL, value for value.
 *
 *     RINGFILL_DRILL_ROUNDS=200 node test/fault/crash-drill.test.ts
 *     RINGFILL_SEED=…            repeats a schedule: what is harmed when, and what is written
 *     RINGFILL_DRILL_MISTAKE=…   with a sync worker that does something wrong (mistakes.ts): it has to turn red
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { install } from '../support/crash-drill/installation.ts';
import type { Snapshot } from '../support/crash-drill/judge.ts';
import { scriptWith } from '../support/crash-drill/mistakes.ts';
import { describeReport, describeRound, tableOf } from '../support/crash-drill/report.ts';
import { fillAll, type RoundReport, runRound } from '../support/crash-drill/round.ts';
import { schedule } from '../support/crash-drill/schedule.ts';
import { WORKER_SCRIPT } from '../support/crash-drill/workers.ts';
import { temporaryFolder } from '../support/stack.ts';

const ROUNDS = Number(process.env['RINGFILL_DRILL_ROUNDS'] ?? 5);
const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 30));
/** An empty cache proves nothing. */
const HELD_LEAST = 0.8;
/** While MySQL is away, a row that is in no shard cannot be had. */
const ANSWERS = { always: [200], withoutOrigin: [200, 503] };

process.stdout.write(`crash-drill: seed ${seed}, ${ROUNDS} rounds\n`);
const mistake = process.env['RINGFILL_DRILL_MISTAKE'];
const script = mistake === undefined ? WORKER_SCRIPT : await scriptWith(mistake, temporaryFolder());
const installation = await install(temporaryFolder(), seed, after, script);
let before: Snapshot | undefined = await fillAll(installation);
const reports: RoundReport[] = [];

for (const round of schedule(seed, ROUNDS)) {
  test(describeRound({ round }), async (t) => {
    let report: RoundReport;
    try {
      before ??= await fillAll(installation);
      const ran = await runRound(installation, round, before);
      report = ran.report;
      before = ran.after;
    } catch (error) {
      before = undefined;
      t.diagnostic(installation.workers.lastLines());
      throw error;
    }
    reports.push(report);
    t.diagnostic(describeReport(report));
    const { verdict, load } = report;
    assert.deepEqual(verdict.stale.slice(0, 5), [], 'entries that MySQL contradicts');
    assert.deepEqual(verdict.strange.slice(0, 5), [], 'keys that should not be there');
    assert.deepEqual(verdict.vanished.slice(0, 5), [], 'effects that are missing');
    assert.deepEqual(report.answersDiffering.slice(0, 5), [], 'answers that MySQL contradicts');
    assert.deepEqual(verdict.raised, [], 'floors raised where nothing was lost');
    assert.equal(verdict.droppedByFloor, 0, 'entries dropped by floor where nothing was lost');
    const { held, holdable, holes, holesExpected, droppedByHole } = verdict;
    if (holesExpected !== 'any')
      assert.equal(holes, holesExpected, 'one hole a shard where MySQL crashed, and no other');
    const lost = holesExpected === 'any' ? droppedByHole : 0;
    assert.ok(held >= HELD_LEAST * (holdable - lost), `${held} of ${holdable} held`);
    const allowed = round.harm.kind === 'mysql' ? ANSWERS.withoutOrigin : ANSWERS.always;
    assert.deepEqual(
      Object.keys(load.answers).filter((status) => !allowed.includes(Number(status))),
      [],
    );
  });
}

test('in the end', (t) => {
  assert.equal(reports.length, ROUNDS, 'rounds that came to their verdict');
  for (const line of tableOf(reports).trimEnd().split('\n')) t.diagnostic(line);
  const sum = (count: (report: RoundReport) => number) => reports.reduce((total, report) => total + count(report), 0);
  t.diagnostic(
    `${reports.length} rounds on ${installation.mysql.flavour} ${installation.mysql.version}, seed ${seed}: ` +
      `${sum(({ verdict }) => verdict.held)} entries compared, ${sum(({ verdict }) => verdict.stale.length)} stale, ` +
      `${sum(({ verdict }) => verdict.vanished.length)} effects missing, ` +
      `${sum(({ verdict }) => verdict.droppedByFloor)} dropped by floor, ` +
      `${sum(({ answersDiffering }) => answersDiffering.length)} answers wrong`,
  );
});
