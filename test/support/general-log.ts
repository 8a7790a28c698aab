/** What MySQL was really asked: the server's own general log, while something runs. */
import { createConnection } from 'mysql2/promise';
import type { TestStack } from './stack.ts';

/** Every statement, in order, that arrived while `during` ran. As root, whom the test stack lets in without a password. */
export async function statementsDuring(stack: TestStack, during: () => Promise<void>): Promise<string[]> {
  const { host, port } = stack.mysql;
  const root = await createConnection({ host, port, user: 'root' });
  try {
    await root.query("SET GLOBAL log_output = 'TABLE'");
    await root.query('TRUNCATE mysql.general_log');
    await root.query('SET GLOBAL general_log = ON');
    try {
      await during();
    } finally {
      await root.query('SET GLOBAL general_log = OFF');
    }
    const [rows] = await root.query(
      "SELECT argument FROM mysql.general_log WHERE command_type = 'Query' ORDER BY event_time",
    );
    return (rows as { argument: Buffer | string }[]).map(({ argument }) => argument.toString());
  } finally {
    await root.end();
  }
}

/** Those that read rows of a table, not its schema. */
export function rowReadsOf(statements: readonly string[], table: string): string[] {
  return statements.filter((statement) => statement.startsWith('SELECT ') && statement.includes(`${table} WHERE`));
}
