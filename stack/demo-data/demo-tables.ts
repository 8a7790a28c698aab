// Every demo table, in the order in which a reader would want to meet them.

import type { DemoTable } from './demo-table.ts';
import { keyTables } from './keys.ts';
import { shopTables } from './shop.ts';
import { typeTables } from './types.ts';
import { usersTable } from './users.ts';

export const demoTables: readonly DemoTable[] = [usersTable, ...shopTables, ...keyTables, ...typeTables];
