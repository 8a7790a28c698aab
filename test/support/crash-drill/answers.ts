/** What a gateway says of every key, against MySQL; whatever its shards did not hold, they hold then. */
import type { TrueRow, Truth } from './truth.ts';
import { DRILL_DB, DRILL_TABLES } from './tables.ts';

/** @returns where it differs. */
export async function compareAnswers(gateway: string, truth: Truth): Promise<string[]> {
  const differing: string[] = [];
  for (const table of DRILL_TABLES) {
    const rows = [...truth.rows.values()].filter((row) => row.table === table);
    const ids = rows.map(({ segment }) => segment).join(',');
    const answer = await fetch(`${gateway}/${DRILL_DB}/${table.name}?ids=${ids}`);
    const text = await answer.text();
    const wanted = `{"rows":[${rows.map(({ body }) => body?.toString() ?? 'null').join(',')}]}`;
    if (answer.status === 200 && text === wanted) continue;
    differing.push(...differencesIn(`${answer.status} ${gateway}`, text, rows));
  }
  return differing;
}

function differencesIn(from: string, text: string, rows: readonly TrueRow[]): string[] {
  const { rows: answers } = JSON.parse(text) as { rows?: unknown[] };
  if (answers === undefined) return [`${from}: ${text.slice(0, 300)}`];
  const differing = rows.flatMap(({ key, body }, index) => {
    const said = JSON.stringify(answers[index]);
    const wanted = body === undefined ? 'null' : JSON.stringify(JSON.parse(body.toString()));
    return said === wanted ? [] : [`${from}: ${key} is ${said}, and MySQL says ${wanted}`];
  });
  return differing.length > 0 ? differing : [`${from}: other bytes than MySQL's rows make`];
}
