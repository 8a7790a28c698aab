/** Cells of the text protocol, read as what the server's own tables hold: names, words, small numbers. */
type Cell = Buffer | null | undefined;

/** NULL reads as an empty text. */
export function cellText(cell: Cell): string {
  return cell?.toString('utf8') ?? '';
}

export function cellTextOrNull(cell: Cell): string | null {
  return cell?.toString('utf8') ?? null;
}

export function cellNumber(cell: Cell): number | null {
  return cell ? Number(cell.toString('latin1')) : null;
}
