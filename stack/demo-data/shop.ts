// `shop`: what an application's schema looks like. A denied column, a text key under a case-insensitive collation, a
// composite key, decimals, JSON.

import { number, text, type DemoTable } from './demo-table.ts';
import { seededRandom } from './seeded-random.ts';

const customers = 1_000;
const products = 1_000;
const orders = 5_000;
const year2024 = Date.UTC(2024, 0, 1);

function money(cents: number): string {
  return `${String(Math.floor(cents / 100))}.${String(cents % 100).padStart(2, '0')}`;
}

function momentText(milliseconds: number, digits: 0 | 3): string {
  return new Date(milliseconds)
    .toISOString()
    .slice(0, digits === 0 ? 19 : 23)
    .replace('T', ' ');
}

const customersTable: DemoTable = {
  database: 'shop',
  name: 'customers',
  definition: `id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NOT NULL,
  email VARCHAR(120) NOT NULL,
  phone VARCHAR(30) NULL,
  password_hash CHAR(60) CHARACTER SET ascii NOT NULL,
  credit_limit DECIMAL(10,2) NULL,
  is_active BOOL NOT NULL DEFAULT TRUE,
  notes TEXT NULL,
  created_at DATETIME(3) NOT NULL,
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)`,
  columns: [
    'id',
    'name',
    'email',
    'phone',
    'password_hash',
    'credit_limit',
    'is_active',
    'notes',
    'created_at',
    'updated_at',
  ],
  deny: ['password_hash'],
  *rows() {
    const random = seededRandom(1_000);
    for (let id = 1; id <= customers; id += 1) {
      const given = random.oneOf(['Ada', 'Björn', 'Chloé', '大輔', 'Ольга', 'محمد', 'Siobhán', 'Łukasz', 'Nguyễn']);
      const family = random.oneOf([
        "O'Neill",
        'Müller',
        '佐藤',
        'Иванова',
        'García-Márquez',
        'Smith',
        'de la Cruz',
        'Ağaoğlu',
      ]);
      const created = year2024 + id * 3_600_000 + random.below(3_600_000);
      yield [
        number(id),
        text(`${given} ${family}`),
        text(`customer${String(id)}@example.com`),
        random.below(5) === 0 ? 'NULL' : text(`+49 30 ${String(1_000_000 + random.below(8_999_999))}`),
        text(`$2b$10$${random.bytes(40).toString('base64url').slice(0, 53)}`),
        random.below(8) === 0 ? 'NULL' : money(random.below(1_000_000)),
        random.below(20) === 0 ? 'FALSE' : 'TRUE',
        random.below(3) === 0
          ? text(random.oneOf(['', 'Calls "often".\nIs 50 % right.', 'Prefers e\\mail 📧']))
          : 'NULL',
        text(momentText(created, 3)),
        text(momentText(created + random.below(90) * 86_400_000, 3)),
      ];
    }
  },
};

function skuOf(index: number): string {
  return `SKU-${String(index).padStart(5, '0')}`;
}

const productsTable: DemoTable = {
  database: 'shop',
  name: 'products',
  definition: `sku VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY,
  name VARCHAR(120) NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  weight_kg FLOAT NULL,
  stock SMALLINT UNSIGNED NOT NULL,
  attributes JSON NULL,
  released DATE NULL`,
  columns: ['sku', 'name', 'price', 'weight_kg', 'stock', 'attributes', 'released'],
  *rows() {
    const random = seededRandom(2_000);
    // Spellings that the collation takes for others of themselves.
    const unusual = [
      'Foo',
      'straße',
      'ÉCLAIR',
      'two words',
      '50%',
      'a/b',
      'a,b',
      '007',
      '商品-1',
      'caffè ☕',
      "d'or",
      'x+y=z&w',
    ];
    for (let index = 1; index <= products; index += 1) {
      const thing = random.oneOf(['Tasse', 'Чайник', '茶壶', 'Lámpara', 'Chair', 'Ψυγείο', 'Kissen "weich"']);
      const attributes = {
        colour: random.oneOf(['rot', 'blå', '青', 'vert']),
        sizes: [random.below(50), random.below(50) + 0.5],
        box: { fragile: random.below(2) === 0, note: random.oneOf([null, '', 'this side "up" ↑']) },
      };
      yield [
        text(unusual[index - 1] ?? skuOf(index)),
        text(`${thing} ${String(index)}`),
        money(1 + random.below(500_000)),
        random.below(6) === 0 ? 'NULL' : String(random.below(100_000) / 1_000),
        number(random.below(65_536)),
        random.below(10) === 0 ? 'NULL' : text(JSON.stringify(attributes)),
        random.below(7) === 0 ? 'NULL' : text(momentText(year2024 - random.below(4_000) * 86_400_000, 0).slice(0, 10)),
      ];
    }
  },
};

const ordersTable: DemoTable = {
  database: 'shop',
  name: 'orders',
  isMirrored: true,
  definition: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  status ENUM('new','paid','sent','delivered','returned') NOT NULL DEFAULT 'new',
  total DECIMAL(12,2) NOT NULL,
  ordered_at TIMESTAMP NULL DEFAULT NULL,
  sent_at TIMESTAMP(6) NULL DEFAULT NULL,
  KEY customer (customer_id)`,
  columns: ['id', 'customer_id', 'status', 'total', 'ordered_at', 'sent_at'],
  *rows() {
    const random = seededRandom(3_000);
    for (let id = 1; id <= orders; id += 1) {
      const ordered = year2024 + id * 600_000;
      const status = random.oneOf(['new', 'paid', 'sent', 'delivered', 'returned']);
      const sent = `${momentText(ordered + random.below(604_800_000), 0)}.${String(random.below(1_000_000)).padStart(6, '0')}`;
      yield [
        number(id),
        number(1 + random.below(customers)),
        text(status),
        money(random.below(1_000_000)),
        text(momentText(ordered, 0)),
        status === 'new' || status === 'paid' ? 'NULL' : text(sent),
      ];
    }
  },
};

const orderItemsTable: DemoTable = {
  database: 'shop',
  name: 'order_items',
  definition: `order_id BIGINT UNSIGNED NOT NULL,
  line_no SMALLINT UNSIGNED NOT NULL,
  sku VARCHAR(40) NOT NULL,
  quantity INT UNSIGNED NOT NULL,
  unit_price DECIMAL(10,2) NOT NULL,
  gift_note VARCHAR(200) NULL,
  PRIMARY KEY (order_id, line_no)`,
  columns: ['order_id', 'line_no', 'sku', 'quantity', 'unit_price', 'gift_note'],
  *rows() {
    const random = seededRandom(4_000);
    for (let order = 1; order <= orders; order += 1) {
      const lines = 1 + random.below(5);
      for (let line = 1; line <= lines; line += 1) {
        yield [
          number(order),
          number(line),
          text(skuOf(20 + random.below(products - 20))),
          number(1 + random.below(9)),
          money(1 + random.below(500_000)),
          random.below(12) === 0 ? text(random.oneOf(['Alles Gute! 🎂', '', '生日快乐', 'C:\\gifts\\"best"'])) : 'NULL',
        ];
      }
    }
  },
};

export const shopTables: readonly DemoTable[] = [customersTable, productsTable, ordersTable, orderItemsTable];
