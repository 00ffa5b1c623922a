/** One line of a CSV file (RFC 4180), its end included. */
export function formatCsvLine(cells: readonly string[]): string {
  return `${cells.map(formatCell).join(',')}\r\n`;
}

/**
 * A spreadsheet runs a cell that begins like a formula, with full-width signs too where people write Japanese, and
 * what it says was written by a stranger (OWASP, "CSV Injection"): an apostrophe in front makes it a text. That makes CSV the form for looking at, and JSON Lines the one
 * for taking along.
 *
 * A spreadsheet that separates at semicolons (Excel by itself, where the decimal sign is a comma) finds our quotes in
 * the middle of its cells, where they mean nothing: each semicolon, tab and line end of a text begins a cell to it.
 */
function formatCell(text: string): string {
  const harmless = text
    .replace(/(\r\n|[;\t\r\n])(?=[ "]*[=+\-@＝＋－＠])/g, "$1'")
    .replace(/^(?=[=+\-@＝＋－＠\t\r\n\0])/, "'");
  return /[",;\t\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
