import { expect } from 'chai';
import { createStyle } from '../../src/cli/terminal/style.ts';
import { type Column, cut, formatTable, wrap } from '../../src/cli/terminal/table.ts';
import { textWidth } from '../../src/cli/terminal/text-width.ts';

describe('a table', () => {
  const style = createStyle(false);
  const columns: Column<string[]>[] = [
    { header: 'ID', text: ([id = '']) => id },
    { header: 'NAME', text: ([, name = '']) => name, minWidth: 6 },
    { header: 'COUNT', text: ([, , count = '']) => count, align: 'right', omit: 1 },
    { header: 'NOTE', text: ([, , , note = '']) => note, minWidth: 8, omit: 2 },
  ];
  const rows = [
    ['1', 'Ada Lovelace', '7', 'wrote the first program'],
    ['22', '東京 太郎', '1234567', 'a\r\nb\tc'],
  ];

  it('is as wide as its texts if there is room, or in a pipe', () => {
    const expected = [
      'ID  NAME            COUNT  NOTE',
      '1   Ada Lovelace        7  wrote the first program',
      '22  東京 太郎     1234567  a b c',
    ];
    expect(formatTable(rows, columns, 200, style)).to.deep.equal(expected);
    expect(formatTable(rows, columns, Number.POSITIVE_INFINITY, style)).to.deep.equal(expected);
  });

  it('fits every width: cuts cells first, then omits columns', () => {
    for (let width = 10; width < 60; width++) {
      for (const line of formatTable(rows, columns, width, style)) expect(textWidth(line)).to.be.at.most(width);
    }
    const headers = (width: number) => formatTable(rows, columns, width, style)[0]?.split(/ +/);
    expect(headers(29)).to.deep.equal(['ID', 'NAME', 'COUNT', 'NOTE']);
    expect(headers(26)).to.deep.equal(['ID', 'NAME', 'COUNT']);
    expect(headers(16)).to.deep.equal(['ID', 'NAME']);
  });

  it('escapes stored text, and colours only its own text', () => {
    const colours = createStyle(true);
    const lines = formatTable(
      [['\u001b[31m', 'a\nb']],
      [{ ...columns[0], style: colours.bad } as Column<string[]>, columns[1] as Column<string[]>],
      80,
      colours,
    );
    expect(lines[1]).to.equal('\u001b[31m\\u{1b}[31m\u001b[39m  a b');
  });

  it('cuts between characters, never inside one', () => {
    expect(cut('👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧', 5)).to.equal('👩‍👩‍👧👩‍👩‍👧…');
    expect(cut('東京東京', 4)).to.equal('東…');
    expect(cut('e\u0301e\u0301e\u0301', 2)).to.equal('e\u0301…');
  });

  it('wraps between words if possible', () => {
    expect(wrap('one two three four', 9)).to.deep.equal(['one two', 'three', 'four']);
    expect(wrap('abcdefghij', 4)).to.deep.equal(['abcd', 'efgh', 'ij']);
    expect(wrap('東京東京東', 4)).to.deep.equal(['東京', '東京', '東']);
    expect(wrap('', 4)).to.deep.equal(['']);
  });

  it('measures Latin text without loading a package', () => {
    for (const text of ['Grüße…', 'a – b', '„x“', 'é', '\u00a0']) expect(textWidth(text), text).to.equal(text.length);
    expect(textWidth('東京')).to.equal(4);
    expect(textWidth('❤️')).to.equal(2);
  });
});
