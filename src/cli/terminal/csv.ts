/** One line of a CSV file (RFC 4180) with its line end. */
export function formatCsvLine(cells: readonly string[]): string {
  return `${cells.map(formatCell).join(',')}\r\n`;
}

/**
 * A spreadsheet runs a cell that looks like a formula (OWASP, "CSV Injection"), also with full-width signs in Japan. An
 * apostrophe in front makes it a text. A spreadsheet that splits at semicolons (Excel where the decimal sign is a comma)
 * ignores our quotes: it begins a cell after each semicolon, tab and line end of a text.
 */
function formatCell(text: string): string {
  const harmless = text
    .replace(/(\r\n|[;\t\r\n])(?=[ "]*[=+\-@＝＋－＠])/g, "$1'")
    .replace(/^(?=[=+\-@＝＋－＠\t\r\n\0])/, "'");
  return /[",;\t\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
