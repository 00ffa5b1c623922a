import { showSafe } from './safe-text.ts';
import type { Style } from './style.ts';
import { graphemesOf, textWidth } from './text-width.ts';

export interface Column<Row> {
  header: string;
  /** The text of a cell as stored; the table makes it safe to print. */
  text: (row: Row) => string;
  style?: (text: string, row: Row) => string;
  align?: 'right';
  /** On a narrow terminal cells may be cut to this width. Without it they are never cut. */
  minWidth?: number;
  /** If the table still does not fit, columns with the highest number are omitted first. Without it, never. */
  omit?: number;
}

interface Laid<Row> {
  column: Column<Row>;
  cells: string[];
  natural: number;
  width: number;
}

const gap = 2;

/** The header and rows of a table, as lines of at most `width` columns. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  style: Style,
): string[] {
  const laid = fitInto(
    columns.map((column) => layOut(rows, column)),
    width,
  );
  const place = (it: Laid<Row>, text: string, styled: string) => {
    const padding = ' '.repeat(Math.max(0, it.width - textWidth(text)));
    return it.column.align === 'right' ? padding + styled : styled + padding;
  };
  const header = laid.map((it) => place(it, it.column.header, style.dim(it.column.header)));
  const lines = rows.map((row, index) =>
    laid.map((it) => {
      const text = cut(it.cells[index] ?? '', it.width);
      return place(it, text, it.column.style?.(text, row) ?? text);
    }),
  );
  return [header, ...lines].map((cells) => cells.join(' '.repeat(gap)).trimEnd());
}

function layOut<Row>(rows: readonly Row[], column: Column<Row>): Laid<Row> {
  const cells = rows.map((row) => showSafe(oneLine(column.text(row))));
  const natural = Math.max(column.header.length, ...cells.map(textWidth));
  return { column, cells, natural, width: natural };
}

/** Omits columns until the rest fits, then narrows the widest columns that may be cut. */
function fitInto<Row>(all: Laid<Row>[], width: number): Laid<Row>[] {
  let laid = all;
  while (total(laid, minWidthOf) > width) {
    const [first] = laid.filter((it) => it.column.omit).sort((a, b) => (b.column.omit ?? 0) - (a.column.omit ?? 0));
    if (first === undefined) break;
    laid = laid.filter((it) => it !== first);
  }
  for (let excess = total(laid, (it) => it.natural) - width; excess > 0; excess--) {
    const [widest] = laid.filter((it) => it.width > minWidthOf(it)).sort((a, b) => b.width - a.width);
    if (widest === undefined) break;
    widest.width -= 1;
  }
  return laid;
}

function minWidthOf(it: Laid<never>): number {
  return Math.min(it.natural, it.column.minWidth ?? it.natural);
}

function total<Row>(laid: readonly Laid<Row>[], size: (it: Laid<Row>) => number): number {
  return laid.reduce((sum, it) => sum + size(it), 0) + gap * Math.max(0, laid.length - 1);
}

/** Joins lines with spaces, since a cell is one line. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]\s*/g, ' ').replaceAll('\t', ' ');
}

/** Shortens a text to at most `width` columns, never inside a character as a reader sees it. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const segment of graphemesOf(text)) {
    used += textWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Breaks a line into pieces of at most `width` columns, between words if possible. */
export function wrap(line: string, width: number): string[] {
  if (textWidth(line) <= width) return [line];
  const pieces: string[] = [];
  let piece = '';
  for (const segment of graphemesOf(line)) {
    if (piece !== '' && textWidth(piece + segment) > width) {
      const space = piece.lastIndexOf(' ');
      const end = space > piece.length / 2 ? space + 1 : piece.length;
      pieces.push(piece.slice(0, end).trimEnd());
      piece = piece.slice(end);
    }
    piece += segment;
  }
  pieces.push(piece);
  return pieces;
}
