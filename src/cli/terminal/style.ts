/** Colours a text, or returns it unchanged if colours are off. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  warning(text: string): string;
  bad(text: string): string;
}

export function createStyle(colours: boolean): Style {
  const around = (on: number, off: number) => (text: string) =>
    colours && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return {
    bold: around(1, 22),
    dim: around(2, 22),
    good: around(32, 39),
    warning: around(33, 39),
    bad: around(31, 39),
  };
}
