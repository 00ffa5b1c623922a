import { type Language, languages, type Translated } from '../words.ts';
import de from './de.json' with { type: 'json' };
import en from './en.json' with { type: 'json' };

/** Every sentence that visitors and owners read, by key: see README.md. */
export type Catalogue = typeof en;

const catalogues: Readonly<Record<Language, Catalogue>> = { de, en };

export function catalogueOf(language: Language): Catalogue {
  return catalogues[language];
}

/** Puts values in the place of `{name}`. A name without a value stays as it is. */
export function fill(sentence: string, values: Readonly<Record<string, string>>): string {
  return sentence.replaceAll(/\{(\w+)\}/g, (whole, name) =>
    Object.hasOwn(values, name) ? (values[name] ?? '') : whole,
  );
}

/** The language of a tag as in HTML's `lang`, such as `de-AT` (or `de_AT`, as programs write it); undefined if there is no catalogue for it. */
export function readLanguage(tag: unknown): Language | undefined {
  const wanted = typeof tag === 'string' ? tag.toLowerCase().split(/[-_]/)[0] : undefined;
  return languages.find((it) => it === wanted);
}

/** The text in this language, or else in the first that there is. */
export function inLanguage(text: Translated, language: Language): string {
  return typeof text === 'string' ? text : (text[language] ?? Object.values(text)[0] ?? '');
}
