import { showSafe } from './safe-text.ts';

/** One line of a CSV file (RFC 4180) with its line end. */
export function formatCsvLine(cells: readonly string[]): string {
  return `${cells.map(formatCell).join(',')}\r\n`;
}

/**
 * A spreadsheet runs a cell that looks like a formula (OWASP, "CSV Injection"), also with full-width signs in Japan. An
 * apostrophe in front makes it a text. A spreadsheet that splits at semicolons (Excel where the decimal sign is a comma)
 * ignores our quotes: it begins a cell after each semicolon, tab and line end of a text.
 *
 * Other control characters would run on a terminal that shows the file, and no spreadsheet needs them.
 */
function formatCell(text: string): string {
  const harmless = text
    .replace(/(?![\t\r\n])\p{Cc}/gu, (character) => showSafe(character))
    .replace(/(\r\n|[;\t\r\n])(?=[ "]*[=+\-@＝＋－＠])/g, "$1'")
    .replace(/^(?=[=+\-@＝＋－＠\t\r\n])/, "'");
  return /[",;\t\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
