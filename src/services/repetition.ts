/** Short texts are the same by chance: "Hello, please call me back". In characters. */
const shortestTelling = 60;

/** Whether two people sending this very text would be a surprise. @param comparable what `comparableText` made of it. */
export function isLong(comparable: string): boolean {
  return comparable.length >= shortestTelling;
}

/** The text without what programs vary: case, white space, digits. */
export function comparableText(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\s\d]+/g, ' ')
    .trim();
}
