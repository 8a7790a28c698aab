// `test.users`, as the seed document shows it: key `uid`, and user 8 is duobao153713223.

import { number, text, type DemoTable } from './demo-table.ts';
import { seededRandom } from './seeded-random.ts';

const users = 10_000;
const firstSignUp = Date.UTC(2016, 7, 22, 17, 47, 25);

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');
}

export const usersTable: DemoTable = {
  database: 'test',
  name: 'users',
  definition: `uid INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  username VARCHAR(64) NOT NULL,
  email VARCHAR(120) NOT NULL,
  city VARCHAR(60) NULL,
  balance DECIMAL(12,2) NOT NULL DEFAULT 0,
  created_at DATETIME NOT NULL,
  last_login TIMESTAMP NULL DEFAULT NULL,
  UNIQUE KEY username (username)`,
  columns: ['uid', 'username', 'email', 'city', 'balance', 'created_at', 'last_login'],
  *rows() {
    const random = seededRandom(8);
    let signUp = firstSignUp;
    for (let uid = 1; uid <= users; uid += 1) {
      // The uid in the last digits keeps names apart.
      const digits = String(100_000_000 + random.below(8_000) * 100_000 + uid);
      const username = uid === 8 ? 'duobao153713223' : `duobao${digits}`;
      signUp += random.below(7_200_000);
      yield [
        number(uid),
        text(username),
        text(`${username}@example.com`),
        random.below(10) === 0
          ? 'NULL'
          : text(random.oneOf(['北京', '上海', '广州', '深圳', '成都', 'Zürich', 'São Paulo'])),
        `${String(random.below(100_000))}.${String(random.below(100)).padStart(2, '0')}`,
        text(timeText(signUp)),
        random.below(4) === 0 ? 'NULL' : text(timeText(signUp + random.below(300) * 86_400_000)),
      ];
    }
  },
};
