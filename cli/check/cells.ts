/** A cell of a text result as text; NULL and no cell as the empty text. */
export function cellText(cell: Buffer | null | undefined): string {
  return cell?.toString('utf8') ?? '';
}
