import { expect } from 'chai';
import { TraceSearch } from '../support/traces.ts';

describe('search for traces', () => {
  const text = 'Qwyx-jürgen 7';
  const search = new TraceSearch([text]);
  const hidden = (content: Buffer | string) =>
    Buffer.concat([Buffer.from('before '), Buffer.from(content as string), Buffer.from(' after')]);

  it('finds a text in every encoding', () => {
    const percent = [...Buffer.from(text)].map((it) => `%${it.toString(16)}`).join('');
    const ways: (Buffer | string)[] = [
      text,
      Buffer.from('QWYX-JüRGEN 7'),
      Buffer.from(text, 'utf16le'),
      Buffer.from(text, 'utf16le').swap16(),
      Buffer.from(text).toString('hex').toUpperCase(),
      encodeURIComponent(text),
      percent,
      'Qwyx-j\\u00FCrgen 7',
    ];
    for (let before = 0; before < 6; before++)
      ways.push(Buffer.from(`${'x'.repeat(before)}${text}yz`).toString('base64'));
    for (const way of ways) {
      const found = search.findIn('here', hidden(way));
      expect(found, String(way)).to.not.deep.equal([]);
      expect(found[0]).to.match(/^here: "Qwyx-jürgen 7" /);
    }
  });

  it('finds nothing if there is nothing', () => {
    expect(search.findIn('here', hidden('Qwyx-jurgen 7'))).to.deep.equal([]);
  });
});
