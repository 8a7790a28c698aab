/** DECIMAL as the binlog and binary JSON hold it. */
import { ByteReader, Undecodable } from './event-bytes.ts';

/** Bytes that 0 to 9 decimal digits take. */
const DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

/**
 * Groups of nine digits in four bytes each, most significant first, the odd digits at both ends in fewer; the first bit
 * flipped, and all bits of a negative number (MySQL: strings/decimal.cc, `decimal2bin`).
 */
export function decimalText(image: ByteReader, precision: number, scale: number): string {
  const whole = precision - scale;
  const groups = [
    ...digitGroups(whole % 9, Math.floor(whole / 9)),
    ...digitGroups(scale % 9, Math.floor(scale / 9)).toReversed(),
  ];
  const length = groups.reduce((sum, digits) => sum + (DIGIT_BYTES[digits] as number), 0);
  const value = Buffer.from(image.bytes(length));
  const negative = ((value[0] as number) & 0x80) === 0;
  value[0] = (value[0] as number) ^ 0x80;
  if (negative) for (const [at, byte] of value.entries()) value[at] = byte ^ 0xff;

  let digits = '';
  const reader = new ByteReader(value);
  for (const count of groups) {
    const text = String(reader.uintBE(DIGIT_BYTES[count] as number)).padStart(count, '0');
    if (text.length > count) throw new Undecodable('a DECIMAL with more digits than fit');
    digits += text;
  }
  const integral = digits.slice(0, whole).replace(/^0+/, '') || '0';
  const sign = negative && /[1-9]/.test(digits) ? '-' : '';
  return scale === 0 ? sign + integral : `${sign}${integral}.${digits.slice(whole)}`;
}

function digitGroups(odd: number, full: number): number[] {
  const groups = Array.from({ length: full }, () => 9);
  return odd === 0 ? groups : [odd, ...groups];
}
