/** Whole numbers as MySQL and MariaDB both make them: rows by the million, without sending them. */

const DIGITS = Array.from({ length: 10 }, (_, digit) => (digit === 0 ? 'SELECT 0 AS d' : `SELECT ${digit}`)).join(
  ' UNION ALL ',
);

/** A derived table of one column `id`, from `first` to `first + count - 1`, in no order. */
export function numbersSql(first: number, count: number): string {
  const places = Array.from({ length: Math.max(1, String(count - 1).length) }, (_, place) => place);
  const number = places.map((place) => `p${place}.d * ${10 ** place}`).join(' + ');
  const from = places.map((place) => `(${DIGITS}) AS p${place}`).join(', ');
  return `(SELECT ${first} + ${number} AS id FROM ${from} WHERE ${number} < ${count}) AS numbers`;
}
