import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { catalogueOf, fill, inLanguage, readLanguage } from '../../src/languages/languages.ts';
import { heldReasonWords, languages } from '../../src/words.ts';

/** Every sentence of a catalogue by its path, such as `pages.thanks`. */
function sentencesOf(value: object, path = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([key, it]): [string, unknown][] =>
    typeof it === 'object' && it !== null ? sentencesOf(it, `${path}${key}.`) : [[`${path}${key}`, it]],
  );
}

describe('the catalogues of the languages', () => {
  const english = new Map(sentencesOf(catalogueOf('en')));

  for (const language of languages) {
    const sentences = sentencesOf(catalogueOf(language));

    it(`${language} has the keys of English, in the same order`, () => {
      expect(sentences.map(([path]) => path)).to.deep.equal([...english.keys()]);
    });

    it(`${language} has the placeholders of English in every sentence`, () => {
      const placeholders = (text: unknown) => [...String(text).matchAll(/\{[^}]*\}?/g)].map(([it]) => it).toSorted();
      for (const [path, text] of sentences) {
        expect(placeholders(text), path).to.deep.equal(placeholders(english.get(path)));
        expect(
          placeholders(text).filter((it) => !/^\{\w+\}$/.test(it)),
          path,
        ).to.deep.equal([]);
      }
    });

    it(`${language} has no empty or untrimmed text, no HTML, and no word too long for a phone`, () => {
      for (const [path, text] of sentences) {
        expect(text, path)
          .to.be.a('string')
          .and.match(/^\S(?:.*\S)?$/s)
          .and.not.match(/[<>]|&\w+;/);
        for (const word of String(text).split(/[\s-]+/)) expect(word.length, `${path}: ${word}`).to.be.at.most(32);
      }
    });

    it(`${language} is named in the check constraint of the forms`, () => {
      const folder = new URL('../../src/database/migrations/', import.meta.url);
      const all = readdirSync(folder).map((it) => readFileSync(new URL(it, folder), 'utf8'));
      expect(all.join('\n')).to.match(new RegExp(`"forms_language_check" check \\(language in \\(.*'${language}'`));
    });
  }

  it('word the reasons for holding a message like the command line', () => {
    expect(catalogueOf('en').pages.reasons).to.deep.equal(heldReasonWords);
  });

  it('are found by a tag of HTML, and fill in values once', () => {
    for (const [tag, language] of [
      ['de', 'de'],
      ['DE-at', 'de'],
      ['de_DE', 'de'],
      ['en-GB', 'en'],
      ['', undefined],
      ['den', undefined],
      ['constructor', undefined],
      [['de'], undefined],
      [undefined, undefined],
    ]) {
      expect(readLanguage(tag), String(tag)).to.equal(language);
    }
    expect(fill('{a} {b} {c} {constructor}', { a: '{b}', b: '$&' })).to.equal('{b} $& {c} {constructor}');
    expect(inLanguage({ en: 'only' }, 'de')).to.equal('only');
  });
});
